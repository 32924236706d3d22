"""Rows of a topic in the order of its cursor; not narrowed to an actor.

Whoever calls this has already asked whether the actor may see the topic.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import BigIntegerField, Func, Q, QuerySet, TextField
from django.db.models.functions import Cast

from observability.contracts import EventRecord
from observability.cursors import START, Position, Topic
from observability.models import TraceEvent

_Row: TypeAlias = tuple[int, UUID, UUID, int, int, str, datetime, str]

# `is_end` of a run is looked for among its last events: notes may follow the last state.
_TAIL = 20


class _OldestOpenTransaction(Func):
    """The lowest transaction id that is still running (PostgreSQL).

    The server counts it over all its databases; only transactions that write have an id.
    """

    template = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
    arity = 0
    output_field = BigIntegerField()


def rows_after(
    topic: Topic, position: Position, *, limit: int, kinds: Collection[str] = ()
) -> list[EventRecord]:
    """Return at most `limit` events behind `position`, oldest first.

    In a workspace, a row is returned only when no transaction older than its own can still
    commit, so that nothing can appear behind a position that was handed out.
    """
    rows = _settled(topic)
    if topic.run_id is not None:
        rows = rows.filter(sequence__gt=position[0]).order_by("sequence")
    elif _is_postgres():
        rows = rows.filter(
            Q(txid__gt=position[0]) | Q(id__gt=position[1]), txid__gte=position[0]
        ).order_by("txid", "id")
    else:
        rows = rows.filter(id__gt=position[1]).order_by("id")
    if kinds:
        rows = rows.filter(kind__in=kinds)
    return [_record(row) for row in _columns(rows)[:limit]]


def head_of(topic: Topic) -> Position:
    """Return the position of the last event that may be delivered, or the start."""
    rows = _settled(topic)
    if topic.run_id is not None:
        last = rows.order_by("-sequence").values_list("sequence", flat=True).first()
        return START if last is None else (last, 0)
    ordered = rows.order_by("-txid", "-id") if _is_postgres() else rows.order_by("-id")
    return ordered.values_list("txid", "id").first() or START


def is_ended(topic: Topic) -> bool:
    """Say whether the run of `topic` has reached a state nothing follows."""
    tail = _columns(_settled(topic).order_by("-sequence"))[:_TAIL]
    return any(_record(row).is_end for row in tail)


def workspace_of_run(run_id: UUID) -> UUID | None:
    """Return the workspace of a run that has at least one event."""
    rows = TraceEvent.objects.filter(run_id=run_id).order_by("sequence")
    return rows.values_list("workspace_id", flat=True).first()


def _is_postgres() -> bool:
    return connection.vendor == "postgresql"


def _settled(topic: Topic) -> QuerySet[TraceEvent]:
    rows = TraceEvent.objects.filter(workspace_id=topic.workspace_id)
    if topic.run_id is not None:
        return rows.filter(run_id=topic.run_id)
    if _is_postgres():
        return rows.filter(txid__lt=_OldestOpenTransaction())
    return rows.filter(txid=0)


def _columns(rows: QuerySet[TraceEvent]) -> QuerySet[TraceEvent, Any]:
    return rows.annotate(text=Cast("payload", TextField())).values_list(
        "id", "workspace_id", "run_id", "sequence", "txid", "kind", "at", "text"
    )


def _record(row: _Row) -> EventRecord:
    id_, workspace_id, run_id, sequence, txid, kind, at, text = row
    if "\n" in text or "\r" in text:  # one event is one line of an event stream
        text = msgspec.json.format(text, indent=-1)
    return EventRecord(
        id=id_,
        workspace_id=workspace_id,
        run_id=run_id,
        sequence=sequence,
        txid=txid,
        kind=kind,
        at=at,
        payload=msgspec.Raw(text.encode()),
    )
