"""Runs that wait for room in a budget: who goes on when there is some, and what was set aside and
will not be settled by anybody. Safe to run by anybody at any time."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from agents.contracts import RunState
from agents.models import Run
from agents.transitions import run_move
from core.errors import StaleStateError
from governance.contracts import ApprovalKind
from governance.selectors.budgets import accounts_room, raises_asked, reservations_open
from governance.services.approvals import questions_withdraw
from governance.services.spending import reservations_release
from plugins.contracts import WaitKind

BATCH = 500


def runs_fund(workspace_id: UUID | None = None) -> int:
    """Queue runs that wait for a budget as far as there is room for their next calls, in the order
    they began to wait; returns how many. What they asked for is withdrawn with it.

    All of them are looked at: many that wait for one full limit keep nobody waiting for another.
    """
    waiting = Run.objects.filter(state=RunState.WAITING.value, wait_kind=WaitKind.BUDGET.value)
    if workspace_id is not None:
        waiting = waiting.filter(workspace_id=workspace_id)
    run_ids = list(waiting.order_by("updated_at").values_list("pk", flat=True))
    known: dict[UUID, Decimal | None] = {}
    moved = 0
    for start in range(0, len(run_ids), BATCH):
        moved += _fund(run_ids[start : start + BATCH], known)
        if moved >= BATCH:
            break
    return moved


def _fund(run_ids: Sequence[UUID], known: dict[UUID, Decimal | None]) -> int:
    """Queue those there is room for; `known` is the room that is left, None where nothing bounds
    it."""
    asked = raises_asked(run_ids)
    unknown = {wanted.account_id for wanted in asked.values()} - known.keys()
    known |= dict.fromkeys(unknown) | accounts_room(unknown)
    moved = 0
    for run_id in run_ids:
        wanted = asked.get(run_id)
        room = None if wanted is None else known[wanted.account_id]
        if wanted is not None and room is not None:
            if room < wanted.needed_usd:
                continue
            known[wanted.account_id] = room - wanted.needed_usd
        moved += _go_on(run_id)
    return moved


def _go_on(run_id: UUID) -> bool:
    try:
        with transaction.atomic():
            list(Run.objects.select_for_update().filter(pk=run_id).values_list("pk"))
            run_move(
                run_id=run_id,
                target=RunState.QUEUED,
                sources={RunState.WAITING},
                where=Q(wait_kind=WaitKind.BUDGET.value),
            )
            questions_withdraw(ApprovalKind.BUDGET_RAISE, run_id, cause="There is room again")
    except StaleStateError:
        return False  # decided, paused or cancelled at this moment
    return True


def reservations_abandoned() -> int:
    """Give back what was set aside under claims that are over; returns how many.

    Only the claim that reserved settles: a run that is at rest, gone, or claimed anew since then
    will not. Its fence is part of the move, so that a newer reservation of the call stands.
    """
    rows = reservations_open(BATCH)
    if not rows:
        return 0
    running = dict(
        Run.objects.filter(
            pk__in={row.run_id for row in rows}, state=RunState.RUNNING.value
        ).values_list("pk", "fence")
    )
    return reservations_release([row for row in rows if running.get(row.run_id) != row.fence])
