"""A run that is stepped while its workers die; called inside a process of ours."""

from typing import Any
from uuid import UUID

from agents.models import Run
from agents.services.runs import run_start
from agents.services.runs.debugging import run_continue, run_step
from governance.access import actor_of_user
from governance.models import User, Workspace
from plugins.models import ToolCall


def begin() -> str:
    """Start a run with a keyed and an irreversible call in one turn, held before each."""
    boss = actor_of_user(User.objects.get(username="operator"))
    workspace = Workspace.objects.get(name="chaos")
    run = run_start(
        actor=boss, workspace=workspace, agent="assistant", input="help", debug={"step": "both"}
    )
    return str(run.pk)


def step(*, run: str) -> None:
    boss = actor_of_user(User.objects.get(username="operator"))
    row = Run.objects.get(pk=run)
    run_step(actor=boss, run_id=row.pk, version=row.debug_version)


def go_on(*, run: str) -> None:
    boss = actor_of_user(User.objects.get(username="operator"))
    row = Run.objects.get(pk=run)
    run_continue(actor=boss, run_id=row.pk, version=row.debug_version)


def where(*, run: str) -> dict[str, Any]:
    row = Run.objects.get(pk=run)
    calls = ToolCall.objects.filter(run_id=UUID(run)).order_by("index")
    return {
        "state": row.state,
        "reason": row.reason,
        "calls": [[call.tool, call.state, call.attempt] for call in calls],
    }
