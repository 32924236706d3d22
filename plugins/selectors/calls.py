"""Reading the effect ledger."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q, QuerySet

from core.ids import first_id_at
from governance import access
from governance.contracts import Actor, Perm
from plugins.contracts import CallState
from plugins.ledger import SETTLED
from plugins.models import ToolCall
from sandbox.contracts import Isolation

if TYPE_CHECKING:
    from governance.models import Workspace


def call_list(actor: Actor, workspace: "Workspace") -> QuerySet[ToolCall]:
    """Return the ledger of a workspace: what its runs asked for and what came of it."""
    rows = ToolCall.objects.filter(workspace_id=workspace.pk)
    return access.scope(actor, Perm.RUN_VIEW, rows, field="workspace_id")


def call_is_unprotected(call: ToolCall) -> bool:
    """Say whether the call is a program that ran, or would run, without a sandbox.

    By what was recorded when it was judged; the tool may have been declared anew since.
    """
    decision = call.decision or {}
    tool = (decision.get("question") or {}).get("tool") or {}
    is_asked = tool.get("sandbox") == Isolation.DISABLED.value
    return bool(decision.get("is_unprotected")) or is_asked


def calls_since(
    actor: Actor, workspace: "Workspace", *, since: datetime, before: UUID | None, limit: int
) -> list[ToolCall]:
    """Return calls that were asked for since then, newest first; `before` goes on from a call."""
    rows = call_list(actor, workspace).filter(pk__gte=first_id_at(since.timestamp()))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk")[:limit])


def calls_of_runs(run_ids: Sequence[UUID]) -> Iterator[tuple[UUID, ToolCall]]:
    """Yield every ledger entry of these runs with its run id, in the order they were asked."""
    rows = ToolCall.objects.filter(run_id__in=run_ids).order_by("run_id", "position", "index")
    for row in rows:
        yield row.run_id, row


def calls_open(run_id: UUID) -> dict[UUID, str]:
    """Return the tools of a run's calls that have no outcome yet, by the calls' ids."""
    rows = ToolCall.objects.filter(run_id=run_id).exclude(state__in=SETTLED)
    return dict(rows.values_list("pk", "tool"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlace:
    """Where a call was asked for, and whether it runs without a sandbox."""

    position: int
    index: int
    is_unprotected: bool


def call_places(run_id: UUID, call_ids: Collection[UUID]) -> Mapping[UUID, CallPlace]:
    """Return where these calls of a run were asked for."""
    rows = ToolCall.objects.filter(run_id=run_id, pk__in=call_ids) if call_ids else ()
    return {
        row.pk: CallPlace(
            position=row.position, index=row.index, is_unprotected=call_is_unprotected(row)
        )
        for row in rows
    }


def calls_between(run_id: UUID, first: int, last: int) -> list[ToolCall]:
    """Return the entries of a run that the messages from `first` to `last` asked for."""
    rows = ToolCall.objects.filter(run_id=run_id, position__gte=first, position__lte=last)
    return list(rows.order_by("position", "index"))


def run_has_unprotected(run_id: UUID) -> bool:
    """Say whether a program of the run ran, or would run, without a sandbox."""
    rows = ToolCall.objects.filter(run_id=run_id)
    asked = Q(decision__question__tool__sandbox=Isolation.DISABLED.value)
    return rows.filter(asked | Q(decision__is_unprotected=True)).exists()


def calls_count(run_id: UUID) -> int:
    """Return how many entries a run's ledger has."""
    return ToolCall.objects.filter(run_id=run_id).count()


def call_of_run(run_id: UUID, call_id: UUID) -> ToolCall | None:
    """Return one entry of a run's ledger; for callers that have asked."""
    return ToolCall.objects.filter(run_id=run_id, pk=call_id).first()


def runs_in_doubt(run_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these runs still have a call in doubt."""
    rows = ToolCall.objects.filter(run_id__in=run_ids, state=CallState.IN_DOUBT.value)
    return set(rows.values_list("run_id", flat=True))


def runs_answered(run_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these runs have an approved call, or none left that waits."""
    rows = ToolCall.objects.filter(run_id__in=run_ids)
    approved = rows.filter(state=CallState.APPROVED.value).values_list("run_id", flat=True)
    waiting = rows.filter(state=CallState.WAITING.value).values_list("run_id", flat=True)
    return set(approved) | (set(run_ids) - set(waiting))


def calls_doubtful() -> dict[UUID, UUID]:
    """Return every call in doubt with its run, the oldest first; few at any time."""
    rows = ToolCall.objects.filter(state=CallState.IN_DOUBT.value).order_by("planned_at")
    return dict(rows.values_list("pk", "run_id"))


def calls_in_doubt(run_id: UUID) -> QuerySet[ToolCall]:
    """The calls of a run that a person must settle, oldest first."""
    rows = ToolCall.objects.filter(run_id=run_id, state=CallState.IN_DOUBT.value)
    return rows.order_by("planned_at")
