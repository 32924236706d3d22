"""Answers of models in a workspace's trace, in the order of its cursor; for counting, not narrowed.

Between the hours that are summed already and the end of the trace lies a tail: the same events are
read either settled, to be folded, or as they are now, to be shown.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db import connection
from django.db.models import BigIntegerField, Exists, Func, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from core.errors import ConflictError
from observability.contracts import EventKind, ModelAnswer
from observability.cursors import Position, Topic
from observability.models import TraceEvent, UsageCursor
from observability.selectors.rows import head_of


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0


class _Payload(msgspec.Struct):
    model: str = ""
    usage: _Usage = msgspec.field(default_factory=_Usage)
    cost_usd: Decimal | None = None


_decode = msgspec.json.Decoder(_Payload).decode


class _NextTransaction(Func):
    """The lowest transaction id that was not given out yet (PostgreSQL)."""

    template = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    arity = 0
    output_field = BigIntegerField()


def answers_settled(
    workspace_id: UUID, position: Position, *, limit: int
) -> tuple[list[ModelAnswer], Position]:
    """Return at most `limit` answers behind `position`, and the position they reach.

    Nothing can appear before the position returned any more, however late it commits.

    Raises:
        ConflictError: The position is of another database, as after a restore.
    """
    head = head_of(Topic(workspace_id))
    if head <= position:
        _require_of_this_database(position)
        return [], position
    rows = _behind(workspace_id, position).filter(Q(txid__lt=head[0]) | Q(id__lte=head[1]))
    found = list(_columns(rows.filter(txid__lte=head[0]))[:limit])
    reached = (found[-1][1], found[-1][0]) if len(found) == limit else head
    return [_answer(row) for row in found], reached


def answers_unsummed(workspace_id: UUID, position: Position, *, limit: int) -> list[ModelAnswer]:
    """Return what was committed behind `position` until now, the oldest `limit` of it."""
    return [_answer(row) for row in _columns(_behind(workspace_id, position))[:limit]]


def workspaces_with_news() -> list[UUID]:
    """Return the workspaces whose trace goes on behind what is summed.

    With them come those that were summed on another database: folding them says so.
    """
    behind = TraceEvent.objects.filter(
        Q(txid__gt=OuterRef("txid")) | Q(id__gt=OuterRef("event_id")),
        workspace_id=OuterRef("workspace_id"),
        txid__gte=OuterRef("txid"),
    )
    due = Q(Exists(behind))
    if connection.vendor == "postgresql":
        due |= Q(txid__gte=_NextTransaction())
    return list(
        UsageCursor.objects.filter(due).order_by("folded_at").values_list("workspace_id", flat=True)
    )


def hour_of(moment: datetime) -> datetime:
    """Return the full hour (UTC) a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _behind(workspace_id: UUID, position: Position) -> QuerySet[TraceEvent]:
    return TraceEvent.objects.filter(
        Q(txid__gt=position[0]) | Q(id__gt=position[1]),
        workspace_id=workspace_id,
        txid__gte=position[0],
        kind=EventKind.STEP_MODEL.value,
    ).order_by("txid", "id")


def _columns(
    rows: QuerySet[TraceEvent],
) -> "QuerySet[TraceEvent, tuple[int, int, UUID, datetime, str]]":
    return rows.annotate(text=Cast("payload", TextField())).values_list(
        "id", "txid", "run_id", "at", "text"
    )


def _answer(row: Sequence[object]) -> ModelAnswer:
    _, _, run_id, at, text = row
    assert isinstance(run_id, UUID)
    assert isinstance(at, datetime)
    said = _decode(str(text))
    return ModelAnswer(
        run_id=run_id,
        at=at,
        model=said.model,
        input_tokens=said.usage.input_tokens,
        output_tokens=said.usage.output_tokens,
        cache_read_tokens=said.usage.cache_read_tokens,
        cost_usd=said.cost_usd,
    )


def _require_of_this_database(position: Position) -> None:
    if connection.vendor != "postgresql":
        return
    following = UsageCursor.objects.values_list(_NextTransaction(), flat=True).first()
    if following is not None and position[0] >= following:
        raise ConflictError(
            f"Usage is summed up to transaction {position[0]}, which this database server has not "
            f"reached ({following} is next): it was restored from another one.",
            remedy="Sum it anew: `manage.py usage rebuild`.",
        )
