"""Cancelling below a run, and reading what people asked of a worker's runs."""

from uuid import UUID

from django.db.models import Q

from agents.contracts import RunState
from agents.models import Run
from agents.transitions import LIVE, run_cancel_one
from core.errors import StaleStateError


def cancel_below(run_id: UUID, *, actor: str) -> int:
    """Cancel every live descendant, nearest first; returns how many were told.

    Each is confirmed by itself: at once when parked, by its owner when running. A child born
    while this walks is found by the sweep, because its parent is cancelled.
    """
    told = 0
    parents = [run_id]
    while parents:
        children = list(Run.objects.filter(parent_id__in=parents).values_list("pk", "state"))
        for child_id, state in children:
            if state not in LIVE:
                continue
            try:
                told += run_cancel_one(child_id, actor=actor)
            except StaleStateError:
                continue
        parents = [child_id for child_id, _ in children]
    return told


def asked_of(worker_id: UUID) -> list[tuple[UUID, str, int]]:
    """Return what people have asked of the runs this worker drives: controls, and the versions of
    their debuggers."""
    rows = Run.objects.filter(worker_id=worker_id, state=RunState.RUNNING.value)
    asked = rows.filter(~Q(control="") | Q(debug_version__gt=0))
    return list(asked.values_list("pk", "control", "debug_version"))
