"""The statement that checks the fences of a batch and writes what its owners hand in.

The rows travel as one JSON parameter per table. A data-modifying CTE updates the runs whose fence
is still current, assigns event sequences from the new heads, and joins every insert with the runs
that passed, so that a stale entry leaves nothing behind and costs its neighbours nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from agents.journal import sql
from agents.journal.records import Entry, Json, Progress

_encoder = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
EVENT_COLUMNS = {
    "run_id": "uuid", "o": "int", "kind": "text", "at": "timestamptz", "payload": "jsonb",
}  # fmt: skip
_HEAD = {"id": "uuid", "fence": "bigint", "n": "int", "advances": "boolean"}
_BLOB_COLUMNS = {
    "id": "uuid", "workspace_id": "uuid", "digest": "text", "size_bytes": "bigint",
    "media_type": "text", "content": "bytea", "created_at": "timestamptz",
}  # fmt: skip


def encoded(rows: object) -> str:
    """Render rows as the JSON parameter that `sql.recordset` reads."""
    return _encoder.encode(rows).decode()


class _Head(Progress, frozen=True, kw_only=True):
    """A run as its owner leaves it: progress, and `n` new events."""

    id: UUID
    fence: int
    n: int
    advances: bool


class _Event(msgspec.Struct, frozen=True):
    """An event, `o` places after its run's old head."""

    run_id: UUID
    o: int
    kind: str
    at: datetime
    payload: Json


def parameters(entries: Sequence[Entry]) -> dict[str, str]:
    """Return one JSON parameter for each table that has rows.

    The last progress of a run counts, and its events are one sequence.
    """
    heads: dict[UUID, _Head] = {}
    events: list[_Event] = []
    for entry in entries:
        known = heads.get(entry.run_id)
        count = known.n if known else 0
        events += [
            _Event(entry.run_id, place, event.kind, event.at, event.payload)
            for place, event in enumerate(entry.events, count + 1)
        ]
        heads[entry.run_id] = _head(entry, known, count + len(entry.events))
    tables: dict[str, list[Any]] = {
        "runs": list(heads.values()),
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
        "approvals": [row for entry in entries for row in entry.approvals],
        "heads": [
            msgspec.structs.asdict(entry.head) | {"run_id": entry.run_id, "o": place}
            for place, entry in enumerate(entries)
            if entry.head is not None
        ],
    }
    return {name: encoded(rows) for name, rows in tables.items() if rows}


def _head(entry: Entry, known: _Head | None, count: int) -> _Head:
    progress = entry.progress
    output = progress.output
    if output is None and known is not None:
        output = known.output
    return _Head(
        id=entry.run_id,
        fence=entry.fence,
        n=count,
        advances=bool(entry.checkpoints) or (known is not None and known.advances),
        state=progress.state,
        wait_kind=progress.wait_kind,
        wake_at=progress.wake_at,
        reason=progress.reason,
        error_code=progress.error_code,
        output=output,
        message_count=progress.message_count,
        iteration=progress.iteration,
        input_tokens=progress.input_tokens,
        output_tokens=progress.output_tokens,
        cache_read_tokens=progress.cache_read_tokens,
        cost_usd=progress.cost_usd,
        cost_is_partial=progress.cost_is_partial,
        finished_at=progress.finished_at,
    )


@cache
def statement(present: frozenset[str]) -> str:
    """Build the one statement for the tables a batch has parameters for.

    It answers with (id, fence, head_sequence, control, moved, debug_version) of each run that
    passed.
    """
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
        " commit_id = %(commit_id)s::uuid, head_sequence = t.head_sequence + r.n,"
        " updated_at = clock_timestamp()"
        f" FROM {sql.recordset('r', {**_HEAD, **sql.PROGRESS}, 'runs')}"
        " WHERE t.id = r.id AND t.fence = r.fence AND t.state = 'running'"
        " AND t.commit_id IS DISTINCT FROM %(commit_id)s::uuid"
        " RETURNING t.id, t.fence, t.workspace_id, t.head_sequence, t.control, t.debug_version, r.n"
        + (", t.debug)" if "children" in present else ")")
    )
    parts = [fenced]
    if "events" in present:
        parts.append(
            f"events AS (INSERT INTO {sql.EVENT}"
            " (workspace_id, run_id, sequence, txid, kind, at, payload)"
            " SELECT f.workspace_id, f.id, f.head_sequence - f.n + x.o,"
            " pg_current_xact_id()::text::bigint, x.kind, x.at, x.payload"
            f" FROM {sql.recordset('x', EVENT_COLUMNS, 'events')} JOIN fenced f ON f.id = x.run_id)"
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
        + f" SELECT id, fence, head_sequence, control, {moved}, debug_version FROM fenced"
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
        parts.append(
            f"blobs AS (INSERT INTO {sql.BLOB} ({sql.quoted(_BLOB_COLUMNS)})"
            f" SELECT {sql.prefixed(_BLOB_COLUMNS, 'x')}"
            f" FROM {sql.recordset('x', {**_BLOB_COLUMNS, 'run_id': 'uuid'}, 'blobs')}"
            " JOIN fenced f ON f.id = x.run_id ON CONFLICT (workspace_id, digest) DO NOTHING)"
        )
    if "heads" in present:
        columns = {**sql.HEAD_COLUMNS, "run_id": "uuid", "o": "int"}
        parts.append(
            f"heads AS (INSERT INTO {sql.HEAD} ({sql.quoted(sql.HEAD_COLUMNS)})"
            f" SELECT DISTINCT ON (x.root_id) {sql.prefixed(sql.HEAD_COLUMNS, 'x')}"
            f" FROM {sql.recordset('x', columns, 'heads')}"
            f" JOIN fenced f ON f.id = x.run_id ORDER BY x.root_id, x.o DESC {sql.HEAD_RULE})"
        )
    if "children" in present:
        parts.append(
            f"children AS (INSERT INTO {sql.RUN}"
            f" ({sql.quoted(sql.RUN_COLUMNS)}, {sql.quoted(sql.RUN_DEFAULTS)}, debug)"
            f" SELECT {sql.prefixed(sql.RUN_COLUMNS, 'x')}, {', '.join(sql.RUN_DEFAULTS.values())}"
            f", {sql.INHERITED_DEBUG.format(debug='f.debug')}"
            f" FROM {sql.recordset('x', {**sql.RUN_COLUMNS, 'owner_id': 'uuid'}, 'children')}"
            " JOIN fenced f ON f.id = x.owner_id"
            " RETURNING id, workspace_id, created_at, agent_name, parent_id),"
            f" child_events AS (INSERT INTO {sql.EVENT}"
            " (workspace_id, run_id, sequence, txid, kind, at, payload)"
            " SELECT workspace_id, id, 1, pg_current_xact_id()::text::bigint, 'run.created',"
            " created_at, jsonb_build_object('state', 'queued', 'agent', agent_name,"
            " 'parent', parent_id) FROM children)"
        )
    if "approvals" in present:
        parts.append(
            f"approvals AS (INSERT INTO {sql.APPROVAL}"
            f" ({sql.quoted(sql.APPROVAL_COLUMNS)}, {sql.quoted(sql.APPROVAL_DEFAULTS)})"
            f" SELECT {sql.prefixed(sql.APPROVAL_COLUMNS, 'x')},"
            f" {', '.join(sql.APPROVAL_DEFAULTS.values())}"
            f" FROM {sql.recordset('x', sql.APPROVAL_COLUMNS, 'approvals')}"
            " JOIN fenced f ON f.id = x.run_id)"
        )
    return parts
