"""Migrations: they build the schema from nothing, on both databases, and none is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import PostgresServer

ROOT = Path(__file__).resolve().parents[2]


def _manage(*arguments: str, database_url: str) -> None:
    """Run a management command, which has to succeed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines()[-15:]
        pytest.fail("\n".join([f"manage.py {' '.join(arguments)} failed:", *words]))


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
"""


def _assert_builds_from_nothing(database_url: str) -> None:
    _manage("migrate", "--no-input", database_url=database_url)
    # Nothing is left to apply, and the models say nothing that the migrations do not.
    _manage("migrate", "--check", database_url=database_url)
    _manage("makemigrations", "--check", "--dry-run", database_url=database_url)
    _manage("shell", "--verbosity", "0", "--command", _TAMPER, database_url=database_url)
    _manage("audit", "verify", database_url=database_url)


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
