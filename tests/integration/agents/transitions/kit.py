"""A run in any state, and what is stored of it."""

from typing import Any

from agents.contracts import RunState
from agents.models import Run
from core import clock
from core.ids import new_id
from governance.models import Workspace
from observability.models import TraceEvent
from tests.factories.agents import make_run


def a_run(workspace: Workspace, state: RunState = RunState.QUEUED, **fields: Any) -> Run:
    run = make_run(workspace)
    if state is RunState.RUNNING:
        fields = {"worker_id": new_id(), "lease_until": clock.now(), "fence": 1, **fields}
    Run.objects.filter(pk=run.pk).update(state=state.value, **fields)
    run.refresh_from_db()
    return run


def snapshot(run: Run) -> tuple[dict[str, Any], int]:
    row = Run.objects.filter(pk=run.pk).values().get()
    return dict(row), TraceEvent.objects.filter(run_id=run.pk).count()


def last_event(run: Run) -> tuple[int, str, dict[str, Any]]:
    event = TraceEvent.objects.filter(run_id=run.pk).order_by("-sequence").first()
    assert event is not None
    return event.sequence, event.kind, event.payload
