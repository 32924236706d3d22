"""Migrations: they build the schema from nothing, on both databases, and none is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import PostgresServer

ROOT = Path(__file__).resolve().parents[2]


# One process for all of it: starting one takes longer than any of the steps.
_PROGRAM = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", "--no-input")
# Nothing is left to apply, and the models say nothing that the migrations do not.
call_command("migrate", "--check")
call_command("makemigrations", "--check", "--dry-run")
"""

# What the database does with changes of an audit chain, once the migrations have made it.
_TAMPER = """
from django.db import DatabaseError, connection
from governance.contracts import SYSTEM, AuditAction, AuditSubject
from governance.services.audit import audit_append
from governance.services.audit_exports import audit_checkpoint
audit_append(SYSTEM, action=AuditAction.EFFECT, workspace_id=None, subject=AuditSubject(kind='x'))
audit_checkpoint(SYSTEM, workspace=None)
statements = ["UPDATE {} SET hash = 'x'", "DELETE FROM {}"]
if connection.vendor == "postgresql":
    statements.append("TRUNCATE {}")
for table in ("governance_auditentry", "governance_auditcheckpoint"):
    for statement in statements:
        try:
            connection.cursor().execute(statement.format(table))
        except DatabaseError as error:
            assert "append-only" in str(error), error
        else:
            raise SystemExit(statement.format(table) + " was let through")
call_command("audit", "verify")
"""


def _assert_builds_from_nothing(database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM + _TAMPER],
        cwd=ROOT,
        env=os.environ
        | {"DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "agentry_site.settings.base"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines()[-15:]
        pytest.fail("\n".join(["The migrations do not make what the models say:", *words]))


@pytest.mark.sqlite
def test_migrations_build_sqlite_from_nothing(tmp_path: Path) -> None:
    _assert_builds_from_nothing(f"sqlite:///{tmp_path / 'empty.sqlite3'}")


@pytest.mark.postgres
def test_migrations_build_postgres_from_nothing(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("empty")
    try:
        _assert_builds_from_nothing(url)
    finally:
        postgres_server.drop_database("empty")


@pytest.mark.sqlite
def test_migrations_are_named_by_hand() -> None:
    """`0004_auto_20260101` says nothing; a name says what the step is for."""
    automatic = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("*/migrations/0*.py")
        if "_auto_" in path.name or "_and_more" in path.name
    ]

    assert automatic == []
