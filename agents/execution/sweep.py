"""The sweep: whatever a lost message, a dead worker or a missed race left behind, found in the
database. Safe to run by anybody at any time; each repair is a conditional move of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from agents.contracts import Control, RunErrorCode, RunState
from agents.execution.doubts import doubts_ask
from agents.execution.funding import reservations_abandoned, runs_fund
from agents.models import Run, Worker
from agents.transitions import (
    GOES_ON,
    LIVE,
    run_cancel_one,
    run_expire_lease,
    run_move,
    run_wake_parent,
    run_wake_session,
)
from core import clock
from core.errors import StaleStateError
from governance.services.approvals import approvals_overdue, approvals_warn, grants_overdue
from plugins.contracts import WaitKind
from plugins.selectors import runs_answered, runs_in_doubt

logger = logging.getLogger(__name__)
BATCH = 500
FORGET_WORKERS_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many runs each repair moved."""

    expired: int = 0
    timers: int = 0
    parents: int = 0
    turns: int = 0
    resolved: int = 0
    overdue: int = 0
    orphans: int = 0
    unheeded: int = 0
    undecided: int = 0
    decided: int = 0
    funded: int = 0

    @property
    def total(self) -> int:
        return (
            self.expired + self.timers + self.parents + self.turns + self.resolved
            + self.overdue + self.orphans + self.unheeded + self.undecided + self.decided
            + self.funded
        )  # fmt: skip


def sweep() -> Swept:
    """Repair everything there is to repair; returns what was done."""
    now = clock.now()
    waiting = Run.objects.filter(state=RunState.WAITING.value)
    expired = Run.objects.filter(state=RunState.RUNNING.value, lease_until__lt=now)
    swept = Swept(
        expired=_each(expired, lambda pk: run_expire_lease(pk, max_crashes=settings.MAX_CRASHES)),
        timers=_each(waiting.filter(wake_at__lte=now), _wake_timer),
        parents=_each(_childless(), run_wake_parent),
        turns=_turns(),
        resolved=_resolved(),
        overdue=_overdue(),
        orphans=_orphans(),
        unheeded=_unheeded(),
        undecided=approvals_overdue(),
        decided=_decided(),
        funded=_funded(),
    )
    doubts_ask()
    approvals_warn()
    grants_overdue()
    Worker.objects.filter(seen_at__lt=now - FORGET_WORKERS_AFTER).delete()
    if swept.total:
        logger.info("sweep_moved_runs", extra={"moved": swept.total})
    return swept


def _funded() -> int:
    """Runs that wait for room in a budget where there is some, after giving back what nobody will
    settle any more."""
    reservations_abandoned()
    return runs_fund()


def _each(query: QuerySet[Run], move: Callable[[UUID], bool]) -> int:
    """Apply `move` to the oldest of `query`; a run somebody moved meanwhile does not count."""
    moved = 0
    for run_id in query.order_by("pk").values_list("pk", flat=True)[:BATCH]:
        try:
            moved += move(run_id)
        except StaleStateError:
            continue
    return moved


def _queue(run_id: UUID, where: Q) -> bool:
    run_move(run_id=run_id, target=RunState.QUEUED, sources={RunState.WAITING}, where=where)
    return True


def _wake_timer(run_id: UUID) -> bool:
    return _queue(run_id, Q(wake_at__lte=clock.now()))


def _childless() -> QuerySet[Run]:
    """Runs that wait for children of which none is left alive."""
    alive = Run.objects.filter(parent_id=OuterRef("pk"), state__in=LIVE)
    waiting = Run.objects.filter(state=RunState.WAITING.value, wait_kind=WaitKind.CHILDREN.value)
    return waiting.filter(~Exists(alive))


def _turns() -> int:
    """Wake the next run of every session that has waiting runs and no active one."""
    sessions = (
        Run.objects.filter(state=RunState.WAITING.value, wait_kind=WaitKind.TURN.value)
        .filter(session_id__isnull=False)
        .values_list("session_id", flat=True)
        .distinct()[:BATCH]
    )
    return sum(run_wake_session(session_id) for session_id in sessions)


def _resolved() -> int:
    """Runs that wait for a call in doubt which somebody has settled meanwhile."""
    waiting = Run.objects.filter(
        state=RunState.WAITING.value, wait_kind=WaitKind.IN_DOUBT.value
    ).values_list("pk", flat=True)[:BATCH]
    waiting_ids = list(waiting)
    doubtful = runs_in_doubt(waiting_ids)
    settled = Run.objects.filter(pk__in=[pk for pk in waiting_ids if pk not in doubtful])
    return _each(settled, lambda pk: _queue(pk, Q(wait_kind=WaitKind.IN_DOUBT.value)))


def _decided() -> int:
    """Runs that wait for a person's answer of which one is there."""
    waiting = Run.objects.filter(
        state=RunState.WAITING.value, wait_kind=WaitKind.APPROVAL.value
    ).values_list("pk", flat=True)
    waiting_ids = list(waiting.order_by("updated_at")[:BATCH])
    answered = Run.objects.filter(pk__in=runs_answered(waiting_ids))
    return _each(answered, lambda pk: _queue(pk, Q(wait_kind=WaitKind.APPROVAL.value)))


def _overdue() -> int:
    """End runs whose wall time ran out while no worker had them."""
    idle = Run.objects.filter(
        state__in=[RunState.QUEUED.value, RunState.WAITING.value], deadline_at__lt=clock.now()
    )

    def end(run_id: UUID) -> bool:
        run_move(
            run_id=run_id,
            target=RunState.FAILED,
            sources={RunState.QUEUED, RunState.WAITING},
            reason="The run's wall time ran out. Start it again with a higher wall_seconds.",
            fields={"error_code": RunErrorCode.DEADLINE_EXCEEDED.value},
        )
        return True

    return _each(idle, end)


def _orphans() -> int:
    """Cancel live children of cancelled runs: born while the cancelling walked the tree."""
    orphans = Run.objects.filter(state__in=LIVE, parent__state=RunState.CANCELLED.value).exclude(
        control=Control.CANCEL.value
    )
    return _each(orphans, lambda pk: run_cancel_one(pk, actor="parent"))


def _unheeded() -> int:
    """Do what was asked of runs whose owner parked them at that very moment."""
    parked = Run.objects.filter(
        state__in=[RunState.WAITING.value, RunState.PAUSED.value, RunState.YIELDED.value]
    )

    def cancel(run_id: UUID) -> bool:
        by = Run.objects.values_list("control_by", flat=True).get(pk=run_id)
        return run_cancel_one(run_id, actor=by or "somebody")

    def pause(run_id: UUID) -> bool:
        asked = Q(control=Control.PAUSE.value)
        run_move(run_id=run_id, target=RunState.PAUSED, sources={RunState.WAITING}, where=asked)
        return True

    def go_on(run_id: UUID) -> bool:
        by = Run.objects.values_list("control_by", flat=True).get(pk=run_id)
        run_move(run_id=run_id, target=RunState.QUEUED, where=GOES_ON, payload={"by": by})
        return True

    waiting = parked.filter(state=RunState.WAITING.value)
    return (
        _each(parked.filter(control=Control.CANCEL.value), cancel)
        + _each(waiting.filter(control=Control.PAUSE.value), pause)
        + _each(parked.filter(GOES_ON), go_on)
    )
