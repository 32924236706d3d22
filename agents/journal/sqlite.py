"""The journal's writer on SQLite: one IMMEDIATE transaction a batch, durable when it returns.

SQLite has one writer at a time, so reading a fence inside the transaction is enough to own it.
Values are stored as Django stores them: UUIDs as 32 hex digits, times as text in UTC, JSON as text.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec

from agents.journal import sql
from agents.journal.records import (
    Birth,
    Born,
    Committed,
    Contribution,
    Entry,
    EventRow,
    Lease,
    Lost,
    Outcome,
)
from agents.journal.spending import settle_sqlite, settlements
from core import clock
from core.errors import StaleStateError, UnavailableError
from core.ids import new_id
from core.pausepoints import reach

_encoder = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
# Failures of the database as a whole, which no part of a batch would escape.
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
    }
)


class SqliteWriter:
    """Owns one connection; used by the journal's thread only."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=20, uri=self._path.startswith("file:"),
                check_same_thread=False,
            )  # fmt: skip
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=20000")
            connection.execute("PRAGMA foreign_keys=ON")
            self._connection = connection
        return self._connection

    def write(self, batch: Sequence[Contribution]) -> list[Outcome]:
        try:
            return self._written(self._connected(), batch)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _UNAVAILABLE:
                raise
            raise UnavailableError(
                f"The database file cannot be written: {error}.",
                remedy="Check the disk and who else holds the file. Nothing was lost: its runs "
                "are taken up again.",
            ) from error

    def _written(
        self, connection: sqlite3.Connection, batch: Sequence[Contribution]
    ) -> list[Outcome]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            outcomes = _write(connection, batch)
            reach("journal.before_commit")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return outcomes

    def renew(self, worker_id: UUID, until: datetime) -> list[Lease]:
        rows = self._connected().execute(
            f"UPDATE {sql.RUN} SET lease_until = ? WHERE worker_id = ? AND state = 'running'"
            " RETURNING id, fence, control",
            (_time(until), worker_id.hex),
        )
        return [Lease(UUID(row[0]), row[1], row[2]) for row in rows.fetchall()]


def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _stored(value: object, kind: str) -> object:
    """Render one value the way Django's SQLite backend does."""
    if kind == "jsonb":
        return None if value is None else _encoder.encode(value).decode()
    if value is None:
        return None
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, Decimal):
        return str(value)
    return value


def _row(record: Mapping[str, object], columns: Mapping[str, str]) -> list[object]:
    return [_stored(record[name], kind) for name, kind in columns.items()]


_PROGRESS_SET = ", ".join(
    f'"{name}" = '
    + sql.PROGRESS_RULES.get(name, "{new}").format(
        new=f":{name}", old=f'"{name}"', state=":state", row=""
    )
    for name in sql.PROGRESS
)
_FENCED = (
    f"UPDATE {sql.RUN} SET {_PROGRESS_SET},"
    f" control = {sql.CONTROL_RULE.format(state=':state', row='')},"
    " lease_until = CASE WHEN :state = 'running' THEN lease_until END,"
    " worker_id = CASE WHEN :state = 'running' THEN worker_id END,"
    " crashes = CASE WHEN :progressed THEN 0 ELSE crashes END,"
    " available_at = CASE WHEN :state = 'queued' THEN :now ELSE available_at END,"
    " commit_id = :commit, head_sequence = head_sequence + :events, updated_at = :now"
    " WHERE id = :run AND fence = :fence AND state = 'running'"
    " RETURNING head_sequence, control, debug_version"
)
_MOVE = (
    f"UPDATE {sql.CALL} SET "
    + ", ".join(f'"{name}" = ?' for name in sql.MOVE_SET)
    + ", decision = COALESCE(?, decision), dispatched_at = COALESCE(?, dispatched_at),"
    " settled_at = COALESCE(?, settled_at) WHERE id = ? AND run_id = ? AND state = ?"
)
_EVENTS = (
    f"INSERT INTO {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload)"
    " VALUES (?, ?, ?, 0, ?, ?, ?)"
)


def _insert(table: str, columns: Mapping[str, str], conflict: str = "") -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({sql.quoted(dict(columns))}) VALUES ({marks}) {conflict}"


_MESSAGES = _insert(sql.MESSAGE, sql.MESSAGE_COLUMNS)
_CHECKPOINTS = _insert(sql.CHECKPOINT, sql.CHECKPOINT_COLUMNS)
_HEADS = _insert(sql.HEAD, sql.HEAD_COLUMNS, sql.HEAD_RULE)
_CALLS = _insert(sql.CALL, sql.CALL_COLUMNS)
_APPROVALS = (
    f"INSERT INTO {sql.APPROVAL}"
    f" ({sql.quoted(sql.APPROVAL_COLUMNS)}, {sql.quoted(sql.APPROVAL_DEFAULTS)})"
    f" VALUES ({', '.join('?' * len(sql.APPROVAL_COLUMNS))},"
    f" {', '.join(sql.APPROVAL_DEFAULTS.values())})"
)
_RUNS = (
    f"INSERT INTO {sql.RUN} ({sql.quoted(sql.RUN_COLUMNS)}, {sql.quoted(sql.RUN_DEFAULTS)})"
    f" VALUES ({', '.join('?' * len(sql.RUN_COLUMNS))}, {', '.join(sql.RUN_DEFAULTS.values())})"
    " ON CONFLICT DO NOTHING"
)
_INHERIT = (
    f"UPDATE {sql.RUN} SET debug = (SELECT {sql.INHERITED_DEBUG.format(debug='p.debug')}"
    f" FROM {sql.RUN} p WHERE p.id = ?) WHERE id = ?"
)


def _event(workspace_id: UUID, run_id: UUID, sequence: int, event: EventRow) -> tuple[object, ...]:
    payload = _encoder.encode(event.payload).decode()
    return (workspace_id.hex, run_id.hex, sequence, event.kind, _time(event.at), payload)


def _write(connection: sqlite3.Connection, batch: Sequence[Contribution]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    events: list[tuple[object, ...]] = []
    accepted: list[Entry] = []
    commit_id, now = new_id().hex, _time(clock.now())
    for item in batch:
        if isinstance(item, Birth):
            outcomes.append(_bear(connection, item, events))
            continue
        outcome = _fence(connection, item, commit_id, now, events)
        outcomes.append(outcome)
        if isinstance(outcome, Committed):
            accepted.append(item)
    _append(connection, accepted, events)
    connection.executemany(_EVENTS, events)
    _wake(connection, [entry for entry in accepted if entry.releases], now)
    settle_sqlite(connection, settlements(accepted), now)
    return outcomes


def _fence(
    connection: sqlite3.Connection,
    entry: Entry,
    commit_id: str,
    now: str,
    events: list[tuple[object, ...]],
) -> Outcome:
    progress = msgspec.structs.asdict(entry.progress)
    parameters: dict[str, object] = {
        name: _stored(progress[name], kind) for name, kind in sql.PROGRESS.items()
    }
    parameters |= {
        "progressed": bool(entry.checkpoints),
        "now": now,
        "commit": commit_id,
        "events": len(entry.events),
        "run": entry.run_id.hex,
        "fence": entry.fence,
    }
    row = connection.execute(_FENCED, parameters).fetchone()
    if row is None:
        return Lost(entry.run_id)
    head, control, debug_version = row
    first = head - len(entry.events) + 1
    events += [
        _event(entry.workspace_id, entry.run_id, sequence, event)
        for sequence, event in enumerate(entry.events, start=first)
    ]
    return Committed(head_sequence=head, control=control, debug_version=debug_version)


def _append(
    connection: sqlite3.Connection, entries: Sequence[Entry], events: list[tuple[object, ...]]
) -> None:
    messages = [row for entry in entries for row in entry.messages]
    if messages:
        connection.executemany(
            _MESSAGES, [_row(msgspec.structs.asdict(r), sql.MESSAGE_COLUMNS) for r in messages]
        )
    checkpoints = [row for entry in entries for row in entry.checkpoints]
    if checkpoints:
        connection.executemany(
            _CHECKPOINTS,
            [_row(msgspec.structs.asdict(r), sql.CHECKPOINT_COLUMNS) for r in checkpoints],
        )
    calls = [row for entry in entries for row in entry.planned]
    if calls:
        connection.executemany(
            _CALLS, [_row(msgspec.structs.asdict(r), sql.CALL_COLUMNS) for r in calls]
        )
    for entry in entries:
        _append_rare(connection, entry, events)


def _append_rare(
    connection: sqlite3.Connection, entry: Entry, events: list[tuple[object, ...]]
) -> None:
    for move in entry.moved:
        fields = msgspec.structs.asdict(move)
        values = [_stored(fields[name], sql.MOVE_COLUMNS[name]) for name in sql.MOVE_SET]
        tail = [
            _stored(fields[name], sql.MOVE_COLUMNS[name])
            for name in ("decision", "dispatched_at", "settled_at", "id", "run_id", "source")
        ]
        if connection.execute(_MOVE, (*values, *tail)).rowcount != 1:
            raise StaleStateError(
                f"The ledger entry {move.id} was no longer {move.source}; nothing was written."
            )
    for blob in entry.blobs:
        connection.execute(
            f"INSERT INTO {sql.BLOB} (id, workspace_id, digest, size_bytes, media_type, content,"
            " created_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (blob.id.hex, blob.workspace_id.hex, blob.digest, blob.size_bytes, blob.media_type,
             blob.content, _time(blob.created_at)),
        )  # fmt: skip
    if entry.head is not None:
        connection.execute(_HEADS, _row(msgspec.structs.asdict(entry.head), sql.HEAD_COLUMNS))
    for child in entry.children:
        connection.execute(_RUNS, _row(msgspec.structs.asdict(child), sql.RUN_COLUMNS))
        connection.execute(_INHERIT, (entry.run_id.hex, child.id.hex))
        payload = {"state": "queued", "agent": child.agent_name, "parent": child.parent_id}
        born = EventRow("run.created", child.created_at, payload)
        events.append(_event(child.workspace_id, child.id, 1, born))
    for approval in entry.approvals:
        values = _row(msgspec.structs.asdict(approval), sql.APPROVAL_COLUMNS)
        connection.execute(_APPROVALS, values)


def _bear(
    connection: sqlite3.Connection, birth: Birth, events: list[tuple[object, ...]]
) -> Outcome:
    run = birth.run
    cursor = connection.execute(_RUNS, _row(msgspec.structs.asdict(run), sql.RUN_COLUMNS))
    if cursor.rowcount == 1:
        events.append(_event(run.workspace_id, run.id, 1, birth.event))
        return Born(run.id)
    row = connection.execute(
        f"SELECT id, request_digest FROM {sql.RUN} WHERE id = ? OR (workspace_id = ?"
        " AND requested_by_id IS ? AND idempotency_key = ? AND idempotency_key <> '')",
        (
            run.id.hex,
            run.workspace_id.hex,
            run.requested_by_id.hex if run.requested_by_id else None,
            run.idempotency_key,
        ),
    ).fetchone()
    if row is None:
        raise StaleStateError("A run could not be inserted and no older one explains why.")
    existing = UUID(row[0])
    if existing == run.id:
        return Born(run.id)
    return Born(run.id, existing_id=existing, existing_digest=row[1])


def _wake(connection: sqlite3.Connection, released: Sequence[Entry], now: str) -> None:
    parents = {entry.parent_id for entry in released if entry.parent_id is not None}
    parents |= {entry.run_id for entry in released if entry.progress.wait_kind == "children"}
    woken: list[tuple[str, str, int]] = []
    for parent in parents:
        woken += connection.execute(WAKE_PARENT, (now, now, parent.hex)).fetchall()
    for entry in released:
        if entry.session_id is not None and entry.progress.finished_at is not None:
            session = entry.session_id.hex
            woken += connection.execute(WAKE_SESSION, (now, now, session, session)).fetchall()
        if entry.closes:
            reason, run = f"{entry.closes}.", entry.run_id.hex
            connection.execute(WITHDRAW, (now, reason, run))
            connection.execute(CLOSE, (now, reason, run))
        if entry.awaits:
            marks = ", ".join("?" * len(entry.awaits))
            calls = [call.hex for call in entry.awaits]
            again = WAKE_DECIDED.format(marks=marks)
            woken += connection.execute(again, (now, now, entry.run_id.hex, *calls)).fetchall()
    payload = '{"before":"waiting","state":"queued"}'
    connection.executemany(
        _EVENTS, [(row[1], row[0], row[2], "run.state", now, payload) for row in woken]
    )


_QUEUE = (
    f"UPDATE {sql.RUN} SET state = 'queued', wait_kind = '', wake_at = NULL, available_at = ?,"
    " updated_at = ?, head_sequence = head_sequence + 1"
)
WAKE_PARENT = (
    _QUEUE + " WHERE id = ? AND state = 'waiting' AND wait_kind = 'children'"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} c WHERE c.parent_id = {sql.RUN}.id"
    f" AND c.state IN {sql.LIVE}) RETURNING id, workspace_id, head_sequence"
)
# A decision was made while the run was on its way to park.
WAKE_DECIDED = (
    _QUEUE + " WHERE id = ? AND state = 'waiting'"
    f" AND EXISTS (SELECT 1 FROM {sql.CALL} c WHERE c.id IN ({{marks}}) AND c.state <> 'waiting')"
    " RETURNING id, workspace_id, head_sequence"
)
WITHDRAW = (
    f"UPDATE {sql.APPROVAL} SET state = 'withdrawn', decided_at = ?, reason = ?"
    " WHERE run_id = ? AND state = 'pending' AND kind <> 'in_doubt'"
)
CLOSE = (
    f"UPDATE {sql.CALL} SET state = 'cancelled', settled_at = ?, reason = ?"
    " WHERE run_id = ? AND state IN ('waiting', 'approved')"
)
WAKE_SESSION = (
    _QUEUE + f" WHERE id = (SELECT w.id FROM {sql.RUN} w WHERE w.session_id = ?"
    " AND w.state = 'waiting' AND w.wait_kind = 'turn' ORDER BY w.id LIMIT 1)"
    f" AND NOT EXISTS (SELECT 1 FROM {sql.RUN} a WHERE a.session_id = ?"
    f" AND a.state IN {sql.LIVE} AND a.wait_kind <> 'turn')"
    " RETURNING id, workspace_id, head_sequence"
)
