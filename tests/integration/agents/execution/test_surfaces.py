"""Every surface that can reach a tool goes through the one door: what it denies runs on none."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agents.contracts import RunState
from agents.models import Checkpoint, Run
from agents.services.runs import run_fork, run_pause, run_replay, run_resume
from agents.tools.registry import BUILTIN_TOOLS
from governance.models import Workspace
from plugins.contracts import CallState, EffectClass, ToolContext, ToolResult, ToolSpec
from plugins.models import ToolCall
from plugins.policy import Decision
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    script_agent,
    told,
)

SCRIPT = """
steps:
  - tool_calls: [{name: echo, arguments: {text: "before"}}]
  - tool_calls: [{name: danger, arguments: {}}]
  - text: "I could not."
"""


class DangerTool:
    """A privileged tool that remembers that it ran."""

    spec = ToolSpec(
        name="danger",
        description="Must not run.",
        input_schema={"type": "object"},
        effect=EffectClass.IRREVERSIBLE,
        privileged=True,
    )

    def __init__(self) -> None:
        self.ran = 0

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        self.ran += 1
        return ToolResult(text="It ran.")


@pytest.fixture
def danger(monkeypatch: pytest.MonkeyPatch) -> DangerTool:
    tool = DangerTool()
    tools = {**BUILTIN_TOOLS, "danger": tool}
    for place in (
        "agents.execution.tooling",
        "agents.execution.pinning",
        "agents.services.versions",
    ):
        monkeypatch.setattr(f"{place}.BUILTIN_TOOLS", tools)
    monkeypatch.setattr("plugins.registry._builtins", dict(tools))
    return tool


def loop(engine: Engine, workspace: Workspace) -> Run:
    return engine.play(begin(workspace))


def resume(engine: Engine, workspace: Workspace) -> Run:
    run = begin(workspace)
    run_pause(actor=boss(), run_id=run.pk)
    run_resume(actor=boss(), run_id=run.pk)
    return engine.play(run)


def fork(engine: Engine, workspace: Workspace) -> Run:
    origin = loop(engine, workspace)
    return engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=2))


def fork_of_an_open_call(engine: Engine, workspace: Workspace) -> Run:
    """The call is judged again, not taken over from the origin's history."""
    origin = loop(engine, workspace)
    row = Checkpoint.objects.filter(run=origin, sequence=3).get()
    row.state.update(phase="tools", open_calls=[0], message_count=4, asked_position=3)
    row.message_count = 4
    row.save()
    return engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=3))


def replay(engine: Engine, workspace: Workspace) -> Run:
    origin = loop(engine, workspace)
    return engine.play(run_replay(actor=boss(), run_id=origin.pk))


def replay_of_what_was_allowed_once(engine: Engine, workspace: Workspace) -> Run:
    origin = loop(engine, workspace)
    ToolCall.objects.filter(run_id=origin.pk, tool="danger").update(state="committed", result="x")
    return engine.play(run_replay(actor=boss(), run_id=origin.pk))


def delegation(engine: Engine, workspace: Workspace) -> Run:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: agent, arguments: {agent: helper, input: x}}]}, {text: ok}]",
        name="lead",
        delegates=["helper"],
    )
    lead = engine.play(begin(workspace, agent="lead"))
    return Run.objects.get(parent=lead)


SURFACES: tuple[Callable[[Engine, Workspace], Run], ...] = (
    loop,
    resume,
    fork,
    fork_of_an_open_call,
    replay,
    replay_of_what_was_allowed_once,
    delegation,
)


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
def test_a_denied_tool_runs_on_no_surface(
    engine: Engine,
    workspace: Workspace,
    danger: DangerTool,
    surface: Callable[[Engine, Workspace], Run],
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo", "danger"])
    run = surface(engine, workspace)

    assert danger.ran == 0
    assert (run.state, run.output) == ("succeeded", "I could not."), run.reason
    call = ToolCall.objects.get(run_id=run.pk, tool="danger")
    assert (call.state, call.is_error) == ("denied", True)
    assert f"error {call.reason}" in told(run)
    check_invariants(run.pk)


@pytest.mark.parametrize("surface", [loop, resume, fork, delegation], ids=lambda s: s.__name__)
def test_the_same_tool_runs_on_every_live_surface_once_it_is_allowed(
    engine: Engine,
    workspace: Workspace,
    danger: DangerTool,
    surface: Callable[[Engine, Workspace], Run],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the test above would pass for a tool nobody can reach."""
    yes = Decision(is_allowed=True, rule="test")
    monkeypatch.setattr("plugins.dispatch.door.decide", lambda spec: yes)
    script_agent(workspace, SCRIPT, tools=["echo", "danger"])
    run = surface(engine, workspace)

    assert danger.ran == (2 if surface is fork else 1)
    assert run.state == RunState.SUCCEEDED.value
    call = ToolCall.objects.get(run_id=run.pk, tool="danger")
    assert (call.state, call.attempt) == (CallState.COMMITTED.value, 1)
    assert call.decision == yes.record()
