"""The journal's writer on PostgreSQL: one statement checks the fences and writes everything.

The rows travel as one JSON parameter per table. A data-modifying CTE updates the runs whose fence
is still current, assigns event sequences from the new heads, and joins every insert with the runs
that passed, so that a stale entry leaves nothing behind and costs its neighbours nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors

from agents.journal import sql
from agents.journal.records import (
    Birth,
    Born,
    Committed,
    Contribution,
    Entry,
    Lease,
    Lost,
    Outcome,
)
from core.errors import StaleStateError, UnavailableError
from core.ids import new_id
from core.pausepoints import reach

logger = logging.getLogger(__name__)
T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
_EVENT = {"run_id": "uuid", "o": "int", "kind": "text", "at": "timestamptz", "payload": "jsonb"}
_HEAD = {
    "id": "uuid", "fence": "bigint", "n": "int", "commit_id": "uuid", "advances": "boolean",
}  # fmt: skip
_RETRIED = (errors.DeadlockDetected, errors.SerializationFailure)


class PostgresWriter:
    """Owns one connection, reconnecting for at most `patience_seconds` when it breaks."""

    def __init__(self, conninfo: str, *, patience_seconds: float = 60.0) -> None:
        self._conninfo = conninfo
        self._patience_seconds = patience_seconds
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def write(self, batch: Sequence[Contribution]) -> list[Outcome]:
        entries = [item for item in batch if isinstance(item, Entry)]
        births = [item for item in batch if isinstance(item, Birth)]
        commit_id = new_id()
        # Births first: they may be repeated, so a failure after them leaves nothing done twice
        # when the journal splits the batch and writes its parts again.
        born = (
            self._persistently(lambda connection: _write_births(connection, births), None)
            if births
            else {}
        )
        heads = (
            self._persistently(
                lambda connection: self._write_entries(connection, entries, commit_id),
                lambda connection: _applied(connection, entries, commit_id),
            )
            if entries
            else {}
        )
        outcomes: list[Outcome] = []
        for item in batch:
            if isinstance(item, Birth):
                outcomes.append(born[item.run.id])
            elif (head := heads.get(item.run_id)) is not None:
                outcomes.append(head)
            else:
                outcomes.append(Lost(item.run_id))
        return outcomes

    def renew(self, worker_id: UUID, until: datetime) -> list[Lease]:
        def statement(connection: psycopg.Connection[tuple[Any, ...]]) -> list[Lease]:
            rows = connection.execute(
                f"UPDATE {sql.RUN} SET lease_until = %s WHERE worker_id = %s AND state = 'running'"
                " RETURNING id, fence, control",
                (until, worker_id),
            ).fetchall()
            return [Lease(*row) for row in rows]

        return self._persistently(statement, None)

    def _persistently(
        self,
        work: Callable[[psycopg.Connection[tuple[Any, ...]]], T],
        applied: Callable[[psycopg.Connection[tuple[Any, ...]]], T | None] | None,
    ) -> T:
        """Run `work`, reconnecting on connection loss.

        A connection lost during a commit leaves it open whether the commit happened; `applied`
        answers that on the new connection before the work is done again. Work without it must be
        safe to repeat.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        delay = 0.05
        is_uncertain = False
        while True:
            try:
                connection = self._connected()
                if is_uncertain and applied is not None:
                    if (result := applied(connection)) is not None:
                        return result
                    is_uncertain = False
                return work(connection)
            except _RETRIED:
                logger.warning("journal_batch_retried", exc_info=True)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                is_uncertain = True
                self.close()
                if time.monotonic() > give_up_at:
                    raise UnavailableError(
                        "The database did not come back in time.",
                        remedy="Check that PostgreSQL runs. Runs under way are taken up again; "
                        "send a request again with the same Idempotency-Key.",
                    ) from error
                time.sleep(delay)
                delay = min(delay * 2, 1.0)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._conninfo,
                autocommit=True,
                connect_timeout=5,
                application_name="agentry-journal",
            )
            connection.prepare_threshold = 2
            self._connection = connection
        return self._connection

    def _write_entries(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        entries: Sequence[Entry],
        commit_id: UUID,
    ) -> dict[UUID, Outcome]:
        parameters, present = _parameters(entries, commit_id)
        wakes = [entry for entry in entries if entry.releases]
        moves = sum(len(entry.moved) for entry in entries)
        statement = _statement(present)
        if not wakes and not moves:
            reach("journal.before_commit")
            heads = _heads(connection.execute(statement, parameters).fetchall())
        else:
            with connection.transaction():
                rows = connection.execute(statement, parameters).fetchall()
                heads = _heads(rows)
                if moves:
                    _check_moves(entries, heads, rows[0][4] if rows else 0)
                _wake(connection, [entry for entry in wakes if entry.run_id in heads])
                reach("journal.before_commit")
        if any(entry.run_id not in heads for entry in entries):
            # Refused: a stale fence, or this very batch, sent over a connection that broke and
            # committed by the server only after it was asked whether it had been.
            heads |= _applied(connection, entries, commit_id) or {}
        return heads


def _heads(rows: Sequence[tuple[Any, ...]]) -> dict[UUID, Outcome]:
    return {row[0]: Committed(head_sequence=row[2], control=row[3]) for row in rows}


def _check_moves(entries: Sequence[Entry], heads: dict[UUID, Outcome], moved: int) -> None:
    expected = sum(len(entry.moved) for entry in entries if entry.run_id in heads)
    if moved != expected:
        raise StaleStateError(
            f"{expected - moved} of {expected} ledger entries were no longer where their run "
            "believed them to be; nothing was written."
        )


def _applied(
    connection: psycopg.Connection[tuple[Any, ...]], entries: Sequence[Entry], commit_id: UUID
) -> dict[UUID, Outcome] | None:
    """Say whether the batch `commit_id` took effect before the connection broke."""
    rows = connection.execute(
        f"SELECT id, fence, head_sequence, control FROM {sql.RUN}"
        " WHERE commit_id = %s AND id = ANY(%s)",
        (commit_id, [entry.run_id for entry in entries]),
    ).fetchall()
    return _heads(rows) if rows else None


def _parameters(entries: Sequence[Entry], commit_id: UUID) -> tuple[dict[str, str], frozenset[str]]:
    runs: dict[UUID, dict[str, Any]] = {}
    events: list[dict[str, Any]] = []
    for entry in entries:
        known = runs.get(entry.run_id)
        before = known["n"] if known else 0
        for offset, event in enumerate(entry.events, start=before + 1):
            events.append(
                {
                    "run_id": entry.run_id,
                    "o": offset,
                    "kind": event.kind,
                    "at": event.at,
                    "payload": event.payload,
                }
            )
        row = msgspec.structs.asdict(entry.progress)
        row |= {
            "id": entry.run_id,
            "fence": entry.fence,
            "n": before + len(entry.events),
            "commit_id": commit_id,
            "advances": bool(entry.checkpoints) or bool(known and known["advances"]),
        }
        if known and row["output"] is None:
            row["output"] = known["output"]
        runs[entry.run_id] = row
    tables: dict[str, list[Any]] = {
        "runs": list(runs.values()),
        "events": events,
        "messages": [row for entry in entries for row in entry.messages],
        "checkpoints": [row for entry in entries for row in entry.checkpoints],
        "calls": [row for entry in entries for row in entry.planned],
        "moves": [row for entry in entries for row in entry.moved],
        "blobs": [
            msgspec.structs.asdict(row)
            | {"content": "\\x" + row.content.hex(), "run_id": entry.run_id}
            for entry in entries
            for row in entry.blobs
        ],
        "children": [
            msgspec.structs.asdict(row) | {"owner_id": entry.run_id}
            for entry in entries
            for row in entry.children
        ],
    }
    present = frozenset(name for name, rows in tables.items() if rows)
    return {name: _encoder.encode(tables[name]).decode() for name in present}, present


@cache
def _statement(present: frozenset[str]) -> str:
    """Build the one statement for the tables a batch has rows for."""
    progress = ", ".join(
        f'"{name}" = '
        + sql.PROGRESS_RULES.get(name, "{new}").format(
            new=f'r."{name}"', old=f't."{name}"', state="r.state", row="t."
        )
        for name in sql.PROGRESS
    )
    control = sql.CONTROL_RULE.format(state="r.state", row="t.")
    fenced = (
        f"fenced AS (UPDATE {sql.RUN} t SET {progress}, control = {control},"
        " lease_until = CASE WHEN r.state = 'running' THEN t.lease_until END,"
        " worker_id = CASE WHEN r.state = 'running' THEN t.worker_id END,"
        " crashes = CASE WHEN r.advances THEN 0 ELSE t.crashes END,"
        " available_at = CASE WHEN r.state = 'queued' THEN clock_timestamp()"
        " ELSE t.available_at END,"
        " commit_id = r.commit_id, head_sequence = t.head_sequence + r.n,"
        " updated_at = clock_timestamp()"
        f" FROM {sql.recordset('r', {**_HEAD, **sql.PROGRESS}, 'runs')}"
        " WHERE t.id = r.id AND t.fence = r.fence AND t.state = 'running'"
        " AND t.commit_id IS DISTINCT FROM r.commit_id"
        " RETURNING t.id, t.fence, t.workspace_id, t.head_sequence, t.control, r.n)"
    )
    parts = [fenced]
    if "events" in present:
        parts.append(
            f"events AS (INSERT INTO {sql.EVENT}"
            " (workspace_id, run_id, sequence, txid, kind, at, payload)"
            " SELECT f.workspace_id, f.id, f.head_sequence - f.n + x.o,"
            " pg_current_xact_id()::text::bigint, x.kind, x.at, x.payload"
            f" FROM {sql.recordset('x', _EVENT, 'events')} JOIN fenced f ON f.id = x.run_id)"
        )
    for name, table, columns in (
        ("messages", sql.MESSAGE, sql.MESSAGE_COLUMNS),
        ("checkpoints", sql.CHECKPOINT, sql.CHECKPOINT_COLUMNS),
        ("calls", sql.CALL, sql.CALL_COLUMNS),
    ):
        if name in present:
            parts.append(
                f"{name} AS (INSERT INTO {table} ({sql.quoted(columns)})"
                f" SELECT {sql.prefixed(columns, 'x')} FROM {sql.recordset('x', columns, name)}"
                " JOIN fenced f ON f.id = x.run_id)"
            )
    parts += _rare_parts(present)
    moved = "(SELECT count(*) FROM moved)" if "moves" in present else "0"
    return (
        "WITH "
        + ", ".join(parts)
        + f" SELECT id, fence, head_sequence, control, {moved} FROM fenced"
    )


def _rare_parts(present: frozenset[str]) -> list[str]:
    parts = []
    if "moves" in present:
        assignments = ", ".join(f'"{name}" = x."{name}"' for name in sql.MOVE_SET)
        parts.append(
            f"moved AS (UPDATE {sql.CALL} c SET {assignments},"
            " decision = COALESCE(x.decision, c.decision),"
            " dispatched_at = COALESCE(x.dispatched_at, c.dispatched_at),"
            " settled_at = COALESCE(x.settled_at, c.settled_at)"
            f" FROM {sql.recordset('x', sql.MOVE_COLUMNS, 'moves')}"
            " JOIN fenced f ON f.id = x.run_id"
            " WHERE c.id = x.id AND c.run_id = x.run_id AND c.state = x.source RETURNING c.id)"
        )
    if "blobs" in present:
        columns = {
            "id": "uuid",
            "workspace_id": "uuid",
            "digest": "text",
            "size_bytes": "bigint",
            "media_type": "text",
            "content": "bytea",
            "created_at": "timestamptz",
        }
        parts.append(
            f"blobs AS (INSERT INTO {sql.BLOB} ({sql.quoted(columns)})"
            f" SELECT {sql.prefixed(columns, 'x')}"
            f" FROM {sql.recordset('x', {**columns, 'run_id': 'uuid'}, 'blobs')}"
            " JOIN fenced f ON f.id = x.run_id ON CONFLICT (workspace_id, digest) DO NOTHING)"
        )
    if "children" in present:
        parts.append(
            f"children AS (INSERT INTO {sql.RUN}"
            f" ({sql.quoted(sql.RUN_COLUMNS)}, {sql.quoted(sql.RUN_DEFAULTS)})"
            f" SELECT {sql.prefixed(sql.RUN_COLUMNS, 'x')}, {', '.join(sql.RUN_DEFAULTS.values())}"
            f" FROM {sql.recordset('x', {**sql.RUN_COLUMNS, 'owner_id': 'uuid'}, 'children')}"
            " JOIN fenced f ON f.id = x.owner_id"
            " RETURNING id, workspace_id, created_at, agent_name, parent_id),"
            f" child_events AS (INSERT INTO {sql.EVENT}"
            " (workspace_id, run_id, sequence, txid, kind, at, payload)"
            " SELECT workspace_id, id, 1, pg_current_xact_id()::text::bigint, 'run.created',"
            " created_at, jsonb_build_object('state', 'queued', 'agent', agent_name,"
            " 'parent', parent_id) FROM children)"
        )
    return parts


def _write_births(
    connection: psycopg.Connection[tuple[Any, ...]], births: Sequence[Birth]
) -> dict[UUID, Outcome]:
    """Insert accepted runs; safe to repeat, because ids are given and conflicts do nothing."""
    rows = _encoder.encode([birth.run for birth in births]).decode()
    events = _encoder.encode(
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
    ).decode()
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
    f" FROM {sql.recordset('x', _EVENT, 'events')} JOIN born b ON b.id = x.run_id)"
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


def _wake(connection: psycopg.Connection[tuple[Any, ...]], released: Sequence[Entry]) -> None:
    """Queue parents whose last child ended and the next run of each freed session.

    The parents are locked before the question is asked, so that of two children ending at once
    the second one sees the first. A sweep asks the same question again for what slips through.
    """
    parents = sorted({entry.parent_id for entry in released if entry.parent_id is not None})
    ended = [entry.run_id for entry in released if entry.progress.wait_kind == "children"]
    if parents or ended:
        waiting = [*parents, *ended]
        connection.execute(
            f"SELECT id FROM {sql.RUN} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", (waiting,)
        )
        connection.execute(WAKE_PARENTS, {"ids": waiting})
    sessions = [
        entry.session_id
        for entry in released
        if entry.session_id is not None and entry.progress.finished_at is not None
    ]
    if sessions:
        try:
            with connection.transaction():  # a savepoint
                connection.execute(WAKE_SESSIONS, {"ids": sessions})
        except errors.UniqueViolation:
            # A new run became the session's active one at this moment; the waiting one is woken
            # when that ends, or by the sweep.
            logger.info("session_taken_meanwhile")


def _woken(update: str) -> str:
    """Wrap a waking UPDATE so that each row it moves gets its trace event in the same statement."""
    return (
        f"WITH woken AS ({update} RETURNING n.id, n.workspace_id, n.head_sequence)"
        f" INSERT INTO {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload)"
        " SELECT workspace_id, id, head_sequence, pg_current_xact_id()::text::bigint, 'run.state',"
        " clock_timestamp(), jsonb_build_object('before', 'waiting', 'state', 'queued') FROM woken"
    )


_QUEUE = (
    f"UPDATE {sql.RUN} n SET state = 'queued', wait_kind = '', wake_at = NULL,"
    " available_at = clock_timestamp(), updated_at = clock_timestamp(),"
    " head_sequence = head_sequence + 1"
)
WAKE_PARENTS = _woken(
    _QUEUE + " WHERE n.id = ANY(%(ids)s) AND n.state = 'waiting' AND n.wait_kind = 'children'"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} c WHERE c.parent_id = n.id"
    f" AND c.state IN {sql.LIVE})"
)
WAKE_SESSIONS = _woken(
    _QUEUE + " WHERE n.id IN (SELECT DISTINCT ON (w.session_id) w.id"
    f" FROM {sql.RUN} w WHERE w.session_id = ANY(%(ids)s) AND w.state = 'waiting'"
    " AND w.wait_kind = 'turn' ORDER BY w.session_id, w.id) AND n.state = 'waiting'"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} a WHERE a.session_id = n.session_id"
    f" AND a.state IN {sql.LIVE} AND a.wait_kind <> 'turn')"
)
