"""The claim: queued runs become this worker's in one statement, with their events.

It is the first move an owner makes, and every later one of its writes names the fence it raised
here. It runs on the site's own connection, because nothing else waits for its commit.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from agents.journal import sql
from core import clock

COLUMNS = (
    "id", "workspace_id", "fence", "agent_name", "snapshot_id", "limits", "input", "parent_id",
    "session_id", "root_id", "depth", "requested_by_id", "deadline_at", "head_sequence", "control",
    "prefix_run_id", "prefix_length", "forked_from_sequence", "replay_of_id", "message_count",
    "crashes", "parent_call_id", "trace_parent", "debug", "debug_passed", "debug_version",
)  # fmt: skip
# Whether a policy is in force or watches, asked with the claim: one published before it binds the
# run.
_POLICY = (
    f"(SELECT p.id FROM {sql.POLICY_VERSION} p WHERE p.workspace_id = {{run}}.workspace_id"
    " AND (p.is_active OR p.is_shadow) LIMIT 1)"
)
# Whether what its models cost is bounded: by a budget of its workspace, or by the limit of a run
# above it. Its own limit it brings along.
_BUDGETED = (
    f"EXISTS (SELECT 1 FROM {sql.BUDGET} b WHERE b.workspace_id = {{run}}.workspace_id"
    " AND b.is_enabled)"
)
_CAPPED = (
    f"({{run}}.depth > 0 AND EXISTS (SELECT 1 FROM {sql.ACCOUNT} a"
    " WHERE a.root_id = {run}.root_id AND a.limit_usd IS NOT NULL))"
)
_ASKED = ("policy_id", "is_budgeted", "is_capped")


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim returns of a run; fields are columns."""

    id: UUID
    workspace_id: UUID
    fence: int
    agent_name: str
    snapshot_id: str
    limits: str
    input: str
    parent_id: UUID | None
    session_id: UUID | None
    root_id: UUID
    depth: int
    requested_by_id: UUID | None
    deadline_at: datetime | None
    head_sequence: int
    control: str
    prefix_run_id: UUID | None
    prefix_length: int
    forked_from_sequence: int | None
    replay_of_id: UUID | None
    message_count: int
    crashes: int
    parent_call_id: UUID | None
    trace_parent: str
    debug: str | None
    debug_passed: str | None
    debug_version: int
    policy_id: UUID | None = None
    is_budgeted: bool = False
    is_capped: bool = False


# Only constants of ours are put into these statements; values are parameters.
_DUE = (
    f"SELECT id FROM {sql.RUN} WHERE state = 'queued' AND available_at <= %(now)s"
    " AND crashes >= %(least)s AND crashes < %(most)s"
    " ORDER BY priority DESC, available_at LIMIT %(count)s"
)
_TAKE = (
    f"UPDATE {sql.RUN} SET state = 'running', reason = '', fence = fence + 1,"
    " worker_id = %(worker)s, lease_until = %(until)s,"
    " started_at = COALESCE(started_at, %(now)s), updated_at = %(now)s,"
    " head_sequence = head_sequence + 1"
    f" WHERE id IN ({{due}}) AND state = 'queued' RETURNING {', '.join(COLUMNS)}"
    f", {_POLICY.format(run=sql.RUN)} AS policy_id"
    f", {_BUDGETED.format(run=sql.RUN)} AS is_budgeted, {_CAPPED.format(run=sql.RUN)} AS is_capped"
)
_TAKE_SQLITE = _TAKE.format(due=_DUE)
# Materialised: a planner that asked the inner question again would lock more runs than it takes.
_TAKE_POSTGRES = (
    f"WITH due AS MATERIALIZED ({_DUE} FOR UPDATE SKIP LOCKED), taken AS ("
    + _TAKE.format(due="SELECT id FROM due")
    + f"), events AS (INSERT INTO {sql.EVENT}"
    " (workspace_id, run_id, sequence, txid, kind, at, payload)"
    " SELECT workspace_id, id, head_sequence, pg_current_xact_id()::text::bigint, 'run.claimed',"
    " %(now)s, jsonb_build_object('worker', %(worker)s::text, 'fence', fence, 'crashes', crashes)"
    f" FROM taken) SELECT {', '.join((*COLUMNS, *_ASKED))} FROM taken"
)
_EVENTS_SQLITE = (
    f"INSERT INTO {sql.EVENT} (workspace_id, run_id, sequence, txid, kind, at, payload)"
    " VALUES (%s, %s, %s, 0, 'run.claimed', %s, %s)"
)

_ANY_CRASHES = 32_768
_QUEUED_SUSPECT = f"SELECT 1 FROM {sql.RUN} WHERE state = 'queued' AND crashes >= %(least)s LIMIT 1"
_OWN_SUSPECT = (
    f"SELECT 1 FROM {sql.RUN} WHERE state = 'running' AND crashes >= %(least)s"
    " AND worker_id = %(worker)s LIMIT 1"
)


def take(*, worker_id: UUID, count: int, lease_seconds: float, max_crashes: int) -> list[Taken]:
    """Take up to `count` queued runs, best first; their fences grow by one.

    A run that one more crash would park is a suspect. A worker drives at most one, so that the
    run which kills its workers takes nobody's last chance but its own; its neighbours leave their
    crashes behind with their next checkpoint. Suspects come after all others.

    Safe against any number of claimers: PostgreSQL skips rows that another one is taking, SQLite
    has one writer.
    """
    suspicious = max(max_crashes - 1, 1)
    taken = _take(worker_id, count, lease_seconds, least=0, most=suspicious)
    if len(taken) < count and _may_take_suspect(worker_id, suspicious):
        taken += _take(worker_id, 1, lease_seconds, least=suspicious, most=_ANY_CRASHES)
    return taken


def _may_take_suspect(worker_id: UUID, suspicious: int) -> bool:
    worker = worker_id if connection.vendor == "postgresql" else worker_id.hex
    with connection.cursor() as cursor:
        cursor.execute(_QUEUED_SUSPECT, {"least": suspicious})
        if cursor.fetchone() is None:
            return False
        cursor.execute(_OWN_SUSPECT, {"least": suspicious, "worker": worker})
        return cursor.fetchone() is None


def _take(
    worker_id: UUID, count: int, lease_seconds: float, *, least: int, most: int
) -> list[Taken]:
    now = clock.now()
    until = now + timedelta(seconds=lease_seconds)
    bounds = {"count": count, "least": least, "most": most}
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                _TAKE_POSTGRES, {"worker": worker_id, "until": until, "now": now, **bounds}
            )
            return [_taken(row) for row in cursor.fetchall()]
    stored = _sqlite_time(now)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _TAKE_SQLITE,
            {
                "worker": worker_id.hex,
                "until": _sqlite_time(until),
                "now": stored,
                **bounds,
            },
        )
        taken = [_taken_sqlite(row) for row in cursor.fetchall()]
        cursor.executemany(
            _EVENTS_SQLITE,
            [
                (
                    run.workspace_id.hex,
                    run.id.hex,
                    run.head_sequence,
                    stored,
                    _payload(run, worker_id),
                )
                for run in taken
            ],
        )
    return taken


def _taken(row: tuple[Any, ...]) -> Taken:
    return Taken(**dict(zip((*COLUMNS, *_ASKED), row, strict=True)))


_UUIDS = frozenset(
    {"id", "workspace_id", "parent_id", "session_id", "root_id", "requested_by_id",
     "prefix_run_id", "replay_of_id", "policy_id", "parent_call_id"}
)  # fmt: skip


def _taken_sqlite(row: tuple[Any, ...]) -> Taken:
    values = dict(zip((*COLUMNS, *_ASKED), row, strict=True))
    for name in _UUIDS:
        if values[name] is not None:
            values[name] = UUID(values[name])
    values |= {name: bool(values[name]) for name in ("is_budgeted", "is_capped")}
    deadline = values["deadline_at"]
    if isinstance(deadline, str):
        deadline = datetime.fromisoformat(deadline)
    if deadline is not None:  # Django's converter makes naive times of what is stored in UTC
        values["deadline_at"] = deadline.replace(tzinfo=UTC)
    return Taken(**values)


def _payload(run: Taken, worker_id: UUID) -> str:
    payload = {"worker": worker_id, "fence": run.fence, "crashes": run.crashes}
    return msgspec.json.encode(payload).decode()


def _sqlite_time(value: datetime) -> str:
    return value.replace(tzinfo=None).isoformat(sep=" ")
