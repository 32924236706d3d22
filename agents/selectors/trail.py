"""A run's trail: its trace and its ledger as small marks, for pages that draw them.

A mark tells that something happened, when, and how much it took; what was said is only in its
`gist`, which is made by the caller's leave. A thousand marks fit one answer, and the next page
begins behind the last. The caller has checked that the run may be seen.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from agents.models import Message, Run
from governance import access
from governance.contracts import Actor, Perm
from observability.contracts import EventKind, EventRecord
from observability.cursors import START, Topic
from observability.selectors.rows import rows_after
from plugins.selectors import CallPlace, call_places

MAX_MARKS: Final = 1_000
MAX_RELATIVES: Final = 1_000
# Rows of runs are told again for so long after they changed: a commit may come late.
_OVERLAP: Final = timedelta(seconds=5)

Teller: TypeAlias = Callable[[str, Mapping[str, Any]], str]


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. `at` is milliseconds since 1970; `took` milliseconds; `cost` dollars as text.

    `position` is the message it belongs to. `tools` are the names a model asked for.
    """

    n: int
    kind: str
    at: float
    model: str = ""
    step: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: str | None = None
    took: float = 0.0
    finish: str = ""
    tools: tuple[str, ...] = ()
    call: str = ""
    tool: str = ""
    state: str = ""
    before: str = ""
    wait: str = ""
    code: str = ""
    effect: str = ""
    attempt: int = 0
    is_error: bool = False
    is_unprotected: bool = False
    position: int = -1
    index: int = -1
    run: str = ""
    agent: str = ""
    gist: str = ""


class Relative(msgspec.Struct, frozen=True, kw_only=True):
    """A run this one started; times as in marks, `call` the entry of the ledger it answers."""

    id: UUID
    agent: str
    state: str
    wait: str
    call: UUID | None
    created: float
    started: float | None
    finished: float | None
    cost: str
    is_floor: bool
    tokens: int
    steps: int


def trail(
    run: Run, *, after: int, limit: int = MAX_MARKS, tell: Teller | None = None
) -> tuple[list[Mark], bool]:
    """Return the marks behind event `after`, oldest first, and whether there are more.

    `tell` makes the gist of an event's payload; without it nothing of a payload's words is told.
    """
    limit = min(max(limit, 1), MAX_MARKS)
    topic = Topic(run.workspace_id, run.pk)
    found = rows_after(topic, (after, 0), limit=limit + 1)
    page = [(event, msgspec.json.decode(event.payload)) for event in found[:limit]]
    planned = {
        UUID(payload["call_id"])
        for event, payload in page
        if event.kind == EventKind.TOOL_PLANNED and payload.get("call_id")
    }
    places = call_places(run.pk, planned)
    answers = _answers(run, [event.at for event, _ in page if event.kind == EventKind.STEP_MODEL])
    marks = [
        _mark(event, payload, places, answers, tell(event.kind, payload) if tell else "")
        for event, payload in page
    ]
    return marks, len(found) > limit


def answer_marks(run: Run, *, limit: int = 5 * MAX_MARKS) -> Mapping[float, Mark]:
    """Return the marks of a run's model calls by their times, which are those of its answers."""
    topic = Topic(run.workspace_id, run.pk)
    rows = rows_after(topic, START, limit=limit, kinds=[EventKind.STEP_MODEL.value])
    marks = (_mark(row, msgspec.json.decode(row.payload), {}, {}, "") for row in rows)
    return {mark.at: mark for mark in marks}


def relatives(actor: Actor, run: Run, *, since: datetime | None = None) -> list[Relative]:
    """Return the runs `run` has started and the actor may see, those that changed since then."""
    rows = access.scope(actor, Perm.RUN_VIEW, Run.objects.filter(parent_id=run.pk))
    if since is not None:
        rows = rows.filter(updated_at__gte=since - _OVERLAP)
    return [_relative(row) for row in _slim(rows).order_by("pk")[:MAX_RELATIVES]]


def milliseconds(at: datetime) -> float:
    return round(at.timestamp() * 1000, 1)


def _slim(rows: QuerySet[Run]) -> QuerySet[Run]:
    return rows.only(
        "pk", "agent_name", "state", "wait_kind", "parent_call_id", "created_at", "started_at",
        "finished_at", "cost_usd", "cost_is_partial", "input_tokens", "output_tokens", "iteration",
    )  # fmt: skip


def _relative(row: Run) -> Relative:
    return Relative(
        id=row.pk,
        agent=row.agent_name,
        state=row.state,
        wait=row.wait_kind,
        call=row.parent_call_id,
        created=milliseconds(row.created_at),
        started=None if row.started_at is None else milliseconds(row.started_at),
        finished=None if row.finished_at is None else milliseconds(row.finished_at),
        cost=str(row.cost_usd),
        is_floor=row.cost_is_partial,
        tokens=row.input_tokens + row.output_tokens,
        steps=row.iteration,
    )


def _answers(run: Run, times: Sequence[datetime]) -> Mapping[datetime, int]:
    """Return the positions of the answers written at these times: one commit, one time."""
    if not times:
        return {}
    rows = Message.objects.filter(
        run_id=run.pk, role="assistant", created_at__gte=min(times), created_at__lte=max(times)
    )
    return dict(rows.values_list("created_at", "position"))


def _mark(
    event: EventRecord,
    payload: Mapping[str, Any],
    places: Mapping[UUID, CallPlace],
    answers: Mapping[datetime, int],
    gist: str,
) -> Mark:
    at = milliseconds(event.at)
    if event.kind == EventKind.STEP_MODEL:
        usage = payload.get("usage") or {}
        return Mark(
            n=event.sequence,
            kind=event.kind,
            at=at,
            model=payload.get("model", ""),
            step=payload.get("step", 0),
            tokens_in=usage.get("input_tokens", 0),
            tokens_out=usage.get("output_tokens", 0),
            tokens_cached=usage.get("cache_read_tokens", 0),
            cost=payload.get("cost_usd"),
            took=round(payload.get("duration_seconds", 0.0) * 1000, 1),
            finish=payload.get("finish", ""),
            tools=tuple(payload.get("tools", ())),
            position=answers.get(event.at, -1),
            gist=gist,
        )
    if "call_id" in payload:
        return _call_mark(event, payload, places, gist)
    if event.kind == EventKind.RUN_CHILD:
        child = str(payload.get("run_id", ""))
        agent = str(payload.get("agent", ""))
        return Mark(n=event.sequence, kind=event.kind, at=at, run=child, agent=agent, gist=gist)
    return Mark(
        n=event.sequence,
        kind=event.kind,
        at=at,
        state=str(payload.get("state", "")),
        # A state; edits have what was said before by this name.
        before=str(payload.get("before", "")) if event.kind == EventKind.RUN_STATE else "",
        wait=str(payload.get("wait_kind", "")),
        code=str(payload.get("error_code") or payload.get("code") or ""),
        gist=gist,
    )


def _call_mark(
    event: EventRecord, payload: Mapping[str, Any], places: Mapping[UUID, CallPlace], gist: str
) -> Mark:
    """Return the mark of something that happened to a tool call."""
    call = str(payload["call_id"])
    place = places.get(UUID(call)) if event.kind == EventKind.TOOL_PLANNED else None
    return Mark(
        n=event.sequence,
        kind=event.kind,
        at=milliseconds(event.at),
        call=call,
        tool=str(payload.get("tool", "")),
        state=str(payload.get("call_state") or payload.get("state", "")),
        wait=str(payload.get("wait_kind", "")),
        effect=str(payload.get("effect", "")),
        attempt=payload.get("attempt", 0),
        is_error=bool(payload.get("is_error")),
        position=place.position if place else -1,
        index=place.index if place else -1,
        is_unprotected=place.is_unprotected if place else False,
        gist=gist,
    )
