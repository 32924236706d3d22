"""Tables whose rows the database itself refuses to change or delete, whoever asks.

Used by migrations. Whoever alters one of these tables on SQLite makes it anew, without triggers:
such a migration ends with `append_only_install`.
"""

from typing import Final

from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLES: Final = ("governance_auditentry", "governance_auditcheckpoint")

_FUNCTION = """
CREATE OR REPLACE FUNCTION governance_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def append_only_install(editor: BaseDatabaseSchemaEditor) -> None:
    """Refuse UPDATE, DELETE and, where there is one, TRUNCATE of these tables from now on."""
    append_only_remove(editor)
    if editor.connection.vendor == "postgresql":
        editor.execute(_FUNCTION, params=None)
    for table in TABLES:
        for statement in _statements(editor.connection.vendor, table):
            editor.execute(statement, params=None)


def append_only_remove(editor: BaseDatabaseSchemaEditor) -> None:
    """Take the triggers away again."""
    is_postgres = editor.connection.vendor == "postgresql"
    for table in TABLES:
        for verb in ("update", "delete", "truncate"):
            place = f" ON {table}" if is_postgres else ""
            editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{verb}{place}", params=None)


def _statements(vendor: str, table: str) -> list[str]:
    if vendor == "postgresql":
        levels = {"update": "ROW", "delete": "ROW", "truncate": "STATEMENT"}
        return [
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table}"
            f" FOR EACH {level} EXECUTE FUNCTION governance_append_only()"
            for verb, level in levels.items()
        ]
    return [
        f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb.upper()} ON {table}"
        f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("update", "delete")
    ]
