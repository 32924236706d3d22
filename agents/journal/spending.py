"""Settling what model calls have set aside, in the commit that carries their answers.

A reservation is settled or given back once: its id, its fence and its state are part of the
update. Reservations come before accounts, and accounts by their ids, as for all who lock both.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from agents.journal import sql
from agents.journal.records import Entry, SpendingRow

_SETTLE_POSTGRES = (
    f"UPDATE {sql.RESERVATION} r"
    " SET state = x.state, charged_usd = x.charged_usd, settled_at = x.settled_at"
    " FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::numeric[], %s::timestamptz[])"
    " AS x(id, fence, state, charged_usd, settled_at)"
    " WHERE r.id = x.id AND r.fence = x.fence AND r.state = 'reserved' RETURNING r.id"
)
_SETTLE_SQLITE = (
    f"UPDATE {sql.RESERVATION} SET state = ?, charged_usd = ?, settled_at = ?"
    " WHERE id = ? AND fence = ? AND state = 'reserved'"
)
_COUNT_POSTGRES = (
    f"UPDATE {sql.ACCOUNT} SET reserved_usd = reserved_usd - %s, spent_usd = spent_usd + %s,"
    " updated_at = %s WHERE id = %s"
)
# SQLite adds in binary; rounding to the places of the column takes that back.
_COUNT_SQLITE = (
    f"UPDATE {sql.ACCOUNT} SET reserved_usd = ROUND(reserved_usd - ?, 8),"
    " spent_usd = ROUND(spent_usd + ?, 8), updated_at = ? WHERE id = ?"
)


def settlements(entries: Sequence[Entry]) -> list[tuple[int, SpendingRow]]:
    """Return what entries settle, each with the fence it was reserved under."""
    return [(entry.fence, row) for entry in entries for row in entry.spending]


def settle_postgres(
    connection: psycopg.Connection[tuple[Any, ...]], rows: Sequence[tuple[int, SpendingRow]]
) -> None:
    """Settle in the journal's transaction, after everything else it locks."""
    columns = zip(
        *((row.id, fence, row.state, row.charged_usd, row.at) for fence, row in rows), strict=True
    )
    found = connection.execute(_SETTLE_POSTGRES, [list(column) for column in columns])
    ids = {row_id for (row_id,) in found}
    settled = [row for _, row in rows if row.id in ids]
    for account, reserved, charged in _by_account(settled):
        connection.execute(_COUNT_POSTGRES, (reserved, charged, rows[0][1].at, account))


def settle_sqlite(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, SpendingRow]], now: str
) -> None:
    """Settle in the journal's transaction."""
    settled = []
    for fence, row in rows:
        charged = None if row.charged_usd is None else str(row.charged_usd)
        values = (row.state, charged, now, row.id.hex, fence)
        if connection.execute(_SETTLE_SQLITE, values).rowcount:
            settled.append(row)
    for account, reserved, spent in _by_account(settled):
        connection.execute(_COUNT_SQLITE, (float(reserved), float(spent), now, account.hex))


def _by_account(rows: Collection[SpendingRow]) -> list[tuple[UUID, Decimal, Decimal]]:
    """Return by how much each account changes: what is reserved no more, and what is spent."""
    reserved: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    charged: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for row in rows:
        for account in row.accounts:
            reserved[account] += row.reserved_usd
            charged[account] += row.charged_usd or Decimal(0)
    return [(account, reserved[account], charged[account]) for account in sorted(reserved)]
