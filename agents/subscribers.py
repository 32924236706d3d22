"""News from below: what governance and plugins publish that concerns runs. Joined in `ready`."""

from django.db.models import Q

from agents.contracts import RunState
from agents.doorbell import ring
from agents.execution.funding import runs_fund
from agents.models import Run
from agents.transitions import run_move, run_note
from core.errors import StaleStateError
from core.events import subscribe
from governance.services.budgets import BudgetRaised
from observability.contracts import EventKind
from plugins.contracts import WaitKind
from plugins.selectors import runs_in_doubt
from plugins.services.calls import CallResolved


def join() -> None:
    """Subscribe; called once, when the app is ready."""
    subscribe(CallResolved, call_resolved)
    subscribe(BudgetRaised, budget_raised)


def budget_raised(event: BudgetRaised) -> None:
    """Let the runs go on that waited for this; the sweep finds those that are still parking."""
    if runs_fund(event.workspace_id):
        ring()


def call_resolved(event: CallResolved) -> None:
    """Note who settled the call and wake its run when nothing else is in doubt.

    A run that is still on its way to park is found by the sweep.
    """
    run = Run.objects.filter(pk=event.run_id).first()
    if run is None:
        return
    run_note(
        run=run,
        kind=EventKind.TOOL_RESOLVED,
        payload={
            "call_id": str(event.call_id),
            "tool": event.tool,
            "state": event.state,
            "by": event.by,
            "note": event.note,
        },
    )
    if runs_in_doubt([event.run_id]):
        return
    try:
        run_move(
            run_id=event.run_id,
            target=RunState.QUEUED,
            sources={RunState.WAITING},
            where=Q(wait_kind=WaitKind.IN_DOUBT.value),
        )
    except StaleStateError:
        return
    ring()
