"""Runs that ended badly or stopped at a limit, for those who look for causes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models.functions import Substr

from agents.contracts import RunState
from agents.models import Run
from agents.selectors.run_filters import RunFilters
from agents.selectors.run_finding import runs_found
from governance import access
from governance.contracts import Actor

REASON_CHARACTERS = 300
_BAD = (RunState.FAILED.value, RunState.YIELDED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """`reason` is None where the actor may not read it."""

    run_id: UUID
    agent: str
    state: str
    code: str
    reason: str | None
    at: datetime


def run_failures(*, actor: Actor, since: datetime, most: int) -> list[RunFailure]:
    """Return failures since a moment, of the newest runs that have any, `most` at most."""
    runs = runs_found(actor, RunFilters(state=_BAD)).runs.exclude(error_code="")
    rows = (
        runs.filter(updated_at__gte=since)
        .annotate(begins=Substr("reason", 1, REASON_CHARACTERS))
        .order_by("-pk")
        .values_list(
            "pk", "agent_name", "state", "error_code", "begins", "updated_at", "workspace_id"
        )[:most]
    )
    found = list(rows)
    readable = access.payload_workspaces(actor, (row[-1] for row in found))
    return [
        RunFailure(
            run_id=run_id,
            agent=agent,
            state=state,
            code=code,
            reason=reason if workspace_id in readable else None,
            at=at,
        )
        for run_id, agent, state, code, reason, at, workspace_id in found
    ]


def runs_succeeded(run_ids: Collection[UUID]) -> frozenset[UUID]:
    """Return those of the runs that ended well; for whoever may see them."""
    rows = Run.objects.filter(pk__in=run_ids, state=RunState.SUCCEEDED.value)
    return frozenset(rows.values_list("pk", flat=True))


def oldest_queued_at(*, actor: Actor) -> datetime | None:
    """Return since when the run has waited that has been ready for a worker the longest."""
    queued = runs_found(actor, RunFilters(state=(RunState.QUEUED.value,))).runs
    return queued.order_by("available_at").values_list("available_at", flat=True).first()
