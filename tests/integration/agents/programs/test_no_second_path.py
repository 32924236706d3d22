"""Programs on every surface that can reach a tool: what is denied does not run, what is asked about
waits, and what runs is in a sandbox, as a canary in the workspace says."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.contracts import RunState
from agents.models import Run
from agents.services.runs import run_fork, run_pause, run_replay, run_resume, run_start
from governance.contracts import Actor
from governance.models import PolicyVersion, Workspace
from tests.factories.agents import make_session, make_tool
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    DENY,
    approvals_of,
    decide,
    person,
    publish,
    told_engine,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    ledger,
    script_agent,
    told,
)
from tests.integration.agents.programs.test_programs import a_script

# Says who runs it, in which pid namespace: never the worker's own.
_WORDS = "CANARY $(id -u) $(readlink /proc/self/ns/pid)"
_PYTHON = "import os; print('CANARY', os.getuid(), os.readlink('/proc/self/ns/pid'))"
CALLS: dict[str, dict[str, Any]] = {
    "bash": {"command": f'echo "{_WORDS}"'.replace("$", "$$")},
    "python": {"code": _PYTHON},
    "local": {},
}
Surface = Callable[[Engine, Workspace, str], Run]


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies are JSON that says the answers; the language of policies has tests of its own."""
    monkeypatch.setattr("governance.services.policies.policy_engine", told_engine)


@pytest.fixture
def ann(workspace: Workspace) -> Actor:
    return person(workspace, "ann")


def loop(engine: Engine, workspace: Workspace, tool: str) -> Run:
    return begin(workspace)


def resume(engine: Engine, workspace: Workspace, tool: str) -> Run:
    run = begin(workspace)
    run_pause(actor=boss(), run_id=run.pk)
    return run_resume(actor=boss(), run_id=run.pk)


def _ended(engine: Engine, workspace: Workspace, tool: str) -> Run:
    """A run whose calls were allowed, by a policy that is not the one in force now."""
    before = PolicyVersion.objects.filter(workspace=workspace, is_active=True).first()
    publish(workspace, **{tool: ALLOW})
    run = engine.play(begin(workspace))
    assert ledger(run)[-1] == (tool, "committed")
    if before is not None:
        publish(workspace, **json.loads(before.source))
    return run


def fork(engine: Engine, workspace: Workspace, tool: str) -> Run:
    return run_fork(actor=boss(), run_id=_ended(engine, workspace, tool).pk, checkpoint=2)


def delegation(engine: Engine, workspace: Workspace, tool: str) -> Run:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: agent, arguments: {agent: helper, input: x}}]}, {text: ok}]",
        name="lead",
        delegates=["helper"],
    )
    return begin(workspace, agent="lead")


def session_rollback(engine: Engine, workspace: Workspace, tool: str) -> Run:
    session = make_session(workspace, "helper", strategy="rollback")
    first = run_start(
        actor=boss(), workspace=workspace, agent="helper", input="one", session=session.pk
    )
    run_pause(actor=boss(), run_id=first.pk)
    return run_start(
        actor=boss(), workspace=workspace, agent="helper", input="two", session=session.pk
    )


LIVE: tuple[Surface, ...] = (loop, resume, fork, delegation, session_rollback)
each_surface = pytest.mark.parametrize("surface", LIVE, ids=lambda surface: surface.__name__)
each_tool = pytest.mark.parametrize("tool", CALLS)


def an_agent(workspace: Workspace, tool: str) -> None:
    make_tool(
        workspace,
        "local",
        kind="command",
        url="",
        command=f'echo "{_WORDS}"',
        is_privileged=False,
    )
    script = a_script([("echo", {"text": "before"})], [(tool, CALLS[tool])])
    script_agent(workspace, script, tools=["echo", *CALLS])


def canaries(run: Run) -> list[str]:
    lines = "\n".join(told(run)).splitlines()
    return [line for line in lines if line.startswith("CANARY")]


def _caller(run: Run) -> Run:
    return Run.objects.filter(parent=run).first() or run


@each_tool
@each_surface
def test_a_denied_program_runs_on_no_surface(
    engine: Engine, workspace: Workspace, surface: Surface, tool: str
) -> None:
    an_agent(workspace, tool)
    publish(workspace, **{tool: DENY})

    run = engine.play(surface(engine, workspace, tool))

    assert run.state == "succeeded", run.reason
    caller = _caller(run)
    assert ledger(caller)[-1] == (tool, "denied")
    assert canaries(caller) == []
    check_invariants(caller.pk)


@each_tool
@each_surface
def test_an_asked_program_waits_on_every_surface_and_then_runs_in_a_sandbox(
    engine: Engine, workspace: Workspace, ann: Actor, surface: Surface, tool: str
) -> None:
    an_agent(workspace, tool)
    publish(workspace, **{tool: ASK})
    run = surface(engine, workspace, tool)
    if not engine.is_started:
        engine.start()
    kind = "children" if surface is delegation else "approval"
    engine.until(run, RunState.WAITING, wait_kind=kind)
    caller = engine.until(_caller(run), RunState.WAITING, wait_kind="approval")

    assert ledger(caller)[-1] == (tool, "waiting")
    assert canaries(caller) == []
    (approval,) = approvals_of(caller)
    decide(ann, approval)
    engine.until(run)

    caller.refresh_from_db()
    assert ledger(caller)[-1] == (tool, "committed")
    found = canaries(caller)
    assert found
    for line in found:
        _, uid, namespace = line.split()
        assert (uid, namespace) != (str(os.getuid()), str(Path("/proc/self/ns/pid").readlink()))
        assert uid == "10001"
        assert namespace != str(Path("/proc/self/ns/pid").readlink())


@each_tool
def test_a_replay_runs_no_program(engine: Engine, workspace: Workspace, tool: str) -> None:
    an_agent(workspace, tool)
    origin = _ended(engine, workspace, tool)
    publish(workspace, **{tool: DENY})

    run = engine.play(run_replay(actor=boss(), run_id=origin.pk))

    assert run.state == "succeeded"
    assert canaries(run) == canaries(origin)  # the very namespace of then: nothing ran again
    assert not (engine.workspaces / str(workspace.pk) / str(run.pk)).exists()
