"""Accepted runs: inserted with their first event, repeatable because their ids are given."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg

from agents.journal import sql
from agents.journal.postgres.entries import EVENT_COLUMNS, encoded
from agents.journal.records import Birth, Born, Outcome
from core.errors import StaleStateError


def write_births(
    connection: psycopg.Connection[tuple[Any, ...]], births: Sequence[Birth]
) -> dict[UUID, Outcome]:
    """Insert accepted runs; safe to repeat, because ids are given and conflicts do nothing."""
    rows = encoded([birth.run for birth in births])
    events = encoded(
        [
            {
                "run_id": birth.run.id,
                "o": 1,
                "kind": birth.event.kind,
                "at": birth.event.at,
                "payload": birth.event.payload,
            }
            for birth in births
        ]
    )
    inserted = connection.execute(_BIRTHS, {"runs": rows, "events": events}).fetchall()
    born: dict[UUID, Outcome] = {row[0]: Born(row[0]) for row in inserted}
    if missing := [birth for birth in births if birth.run.id not in born]:
        born |= _existing(connection, missing)
    return born


_BIRTHS = (
    f"WITH born AS (INSERT INTO {sql.RUN}"
    f" ({sql.quoted(sql.RUN_COLUMNS)}, {sql.quoted(sql.RUN_DEFAULTS)})"
    f" SELECT {sql.prefixed(sql.RUN_COLUMNS, 'x')}, {', '.join(sql.RUN_DEFAULTS.values())}"
    f" FROM {sql.recordset('x', sql.RUN_COLUMNS, 'runs')}"
    " ON CONFLICT DO NOTHING RETURNING id, workspace_id),"
    f" events AS (INSERT INTO {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload)"
    " SELECT b.workspace_id, b.id, x.o, pg_current_xact_id()::text::bigint, x.kind, x.at, x.payload"
    f" FROM {sql.recordset('x', EVENT_COLUMNS, 'events')} JOIN born b ON b.id = x.run_id)"
    " SELECT id FROM born"
)


def _existing(
    connection: psycopg.Connection[tuple[Any, ...]], births: Sequence[Birth]
) -> dict[UUID, Outcome]:
    found: dict[UUID, Outcome] = {}
    for birth in births:
        row = connection.execute(
            f"SELECT id, request_digest FROM {sql.RUN} WHERE id = %s OR (workspace_id = %s"
            " AND requested_by_id IS NOT DISTINCT FROM %s AND idempotency_key = %s"
            " AND idempotency_key <> '')",
            (
                birth.run.id,
                birth.run.workspace_id,
                birth.run.requested_by_id,
                birth.run.idempotency_key,
            ),
        ).fetchone()
        if row is None:
            raise StaleStateError("A run could not be inserted and no older one explains why.")
        if row[0] == birth.run.id:
            found[birth.run.id] = Born(birth.run.id)
        else:
            found[birth.run.id] = Born(birth.run.id, existing_id=row[0], existing_digest=row[1])
    return found
