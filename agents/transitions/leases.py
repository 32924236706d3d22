"""Taking runs from workers that are gone or have stopped renewing."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from agents.contracts import RunErrorCode
from agents.models import Run
from agents.transitions.moves import run_told, stale
from agents.transitions.table import S
from core import clock
from observability.contracts import EventKind


def run_expire_lease(run_id: UUID, *, max_crashes: int) -> bool:
    """Take a run from a worker that stopped renewing its lease.

    It is queued again; after `max_crashes` such endings it is parked with its reason instead, so
    that a run which kills its workers cannot kill them all.

    Raises:
        StaleStateError: The lease was renewed or the run moved meanwhile.
    """
    now = clock.now()
    with transaction.atomic():
        known = Run.objects.values_list("crashes", flat=True).filter(pk=run_id).first()
        if known is None:
            raise stale(run_id, "expired")
        crashes = known + 1
        is_poison = crashes >= max_crashes
        target = S.PAUSED if is_poison else S.QUEUED
        reason = (
            f"Its worker died {crashes} times while driving it. Look at the last tool call and "
            "the workers' logs, then resume or cancel it."
            if is_poison
            else ""
        )
        changed = Run.objects.filter(
            pk=run_id, state=S.RUNNING.value, lease_until__lt=now, crashes=crashes - 1
        ).update(
            state=target.value,
            reason=reason,
            error_code=RunErrorCode.POISON.value if is_poison else "",
            crashes=crashes,
            worker_id=None,
            lease_until=None,
            available_at=now,
            updated_at=now,
            head_sequence=F("head_sequence") + 1,
        )
        if not changed:
            raise stale(run_id, "expired")
        run_told(
            run_id,
            EventKind.RUN_RELEASED,
            {
                "before": S.RUNNING.value,
                "state": target.value,
                "crashes": crashes,
                "reason": reason or "The worker stopped renewing its lease.",
            },
        )
    return True


def leases_end(worker_id: UUID, *, leases: Iterable[tuple[UUID, int]] | None = None) -> None:
    """Let leases of a worker run out now; a sweep does the rest.

    All of them, when the worker is known to be dead, or those of the given (run, fence) pairs.
    """
    held = Run.objects.filter(worker_id=worker_id, state=S.RUNNING.value)
    past = clock.now() - timedelta(seconds=1)
    if leases is None:
        held.update(lease_until=past)
        return
    by_fence: dict[int, list[UUID]] = defaultdict(list)
    for run_id, fence in leases:
        by_fence[fence].append(run_id)
    for fence, run_ids in by_fence.items():
        held.filter(pk__in=run_ids, fence=fence).update(lease_until=past)
