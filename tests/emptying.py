"""Emptying the database behind a test that commits: what it wrote goes, what migrations made stays.

Django's own way truncates every table and makes content types, permissions and roles anew, which
takes longer than most of the tests. This deletes from the tables that have rows, and asks for the
built-in roles once more, in case that a test has changed them.
"""

from django.db import DEFAULT_DB_ALIAS, connections

# Made by migrations, the same for every test. Of roles, those of no workspace.
KEPT = frozenset({"django_content_type", "auth_permission", "django_migrations"})
_ROLES = "governance_role"


def empty(alias: str) -> None:
    """Delete what a test has committed; nobody's foreign keys or triggers are asked."""
    connection = connections[alias]
    filled = filled_tables(alias)
    if not filled:
        return
    with connection.cursor() as cursor:
        is_postgres = connection.vendor == "postgresql"
        off, on = (
            ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT")
            if is_postgres
            else ("PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys = ON")
        )
        cursor.execute(off)
        try:
            for table in filled:
                where = " WHERE workspace_id IS NOT NULL" if table == _ROLES else ""
                cursor.execute(f'DELETE FROM "{table}"{where}')
        finally:
            cursor.execute(on)
    _restore_roles()


def _restore_roles() -> None:
    from governance.contracts import BUILTIN_ROLES
    from governance.models import Role
    from governance.services.roles import builtin_roles_sync

    there = dict(Role.objects.filter(workspace=None).values_list("name", "permissions"))
    wanted = {name: sorted(each.value for each in held) for name, held in BUILTIN_ROLES.items()}
    if there != wanted:
        builtin_roles_sync()


def filled_tables(alias: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return the tables that have rows, in one question."""
    connection = connections[alias]
    asked = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM \"{table}\")"
        for table in connection.introspection.django_table_names(only_existing=True)
        if table not in KEPT
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        return [row[0] for row in cursor.fetchall()]
