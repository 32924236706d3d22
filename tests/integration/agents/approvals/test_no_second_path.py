"""Every surface that can reach a tool, under a policy: what it denies runs on none, and what it
asks about waits on each."""

import ast
from collections.abc import Callable

import msgspec
import pytest

from agents.contracts import RunState
from agents.models import Checkpoint, Run
from agents.services.runs import run_fork, run_pause, run_replay, run_resume, run_start
from governance.contracts import Actor
from governance.models import PolicyVersion, Workspace
from tests.architecture.source import SERVER, modules, nodes
from tests.factories.agents import make_session
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    DENY,
    PayTool,
    approvals_of,
    decide,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    ledger,
    script_agent,
)

SCRIPT = """
steps:
  - tool_calls: [{name: echo, arguments: {text: "before"}}]
  - tool_calls: [{name: pay, arguments: {amount: 7}}]
  - text: "Over."
"""
Surface = Callable[[Engine, Workspace], Run]


def loop(engine: Engine, workspace: Workspace) -> Run:
    return begin(workspace)


def resume(engine: Engine, workspace: Workspace) -> Run:
    run = begin(workspace)
    run_pause(actor=boss(), run_id=run.pk)
    return run_resume(actor=boss(), run_id=run.pk)


def _ended(engine: Engine, workspace: Workspace) -> Run:
    """A run that has made its calls under a policy that allowed them, which is not the one in
    force now."""
    before = PolicyVersion.objects.filter(workspace=workspace, is_active=True).first()
    publish(workspace, pay=ALLOW)
    run = engine.play(begin(workspace))
    assert ledger(run)[-1] == ("pay", "committed")
    if before is not None:
        publish(workspace, **msgspec.json.decode(before.source))
    return run


def fork(engine: Engine, workspace: Workspace) -> Run:
    origin = _ended(engine, workspace)
    return run_fork(actor=boss(), run_id=origin.pk, checkpoint=2)


def fork_of_an_open_call(engine: Engine, workspace: Workspace) -> Run:
    origin = _ended(engine, workspace)
    row = Checkpoint.objects.filter(run=origin, sequence=3).get()
    assert (row.state["phase"], row.state["open_calls"]) == ("tools", [0])
    return run_fork(actor=boss(), run_id=origin.pk, checkpoint=3)


def delegation(engine: Engine, workspace: Workspace) -> Run:
    script_agent(
        workspace,
        "steps: [{tool_calls: [{name: agent, arguments: {agent: helper, input: x}}]}, {text: ok}]",
        name="lead",
        delegates=["helper"],
    )
    return begin(workspace, agent="lead")


def session_rollback(engine: Engine, workspace: Workspace) -> Run:
    session = make_session(workspace, "helper", strategy="rollback")
    first = run_start(
        actor=boss(), workspace=workspace, agent="helper", input="one", session=session.pk
    )
    run_pause(actor=boss(), run_id=first.pk)
    return run_start(
        actor=boss(), workspace=workspace, agent="helper", input="two", session=session.pk
    )


LIVE: tuple[Surface, ...] = (
    loop,
    resume,
    fork,
    fork_of_an_open_call,
    delegation,
    session_rollback,
)


def _payer(run: Run) -> Run:
    return Run.objects.filter(parent=run).first() or run


def _paid_before(surface: Surface) -> int:
    return 1 if surface in {fork, fork_of_an_open_call} else 0


@pytest.mark.parametrize("surface", LIVE, ids=lambda surface: surface.__name__)
def test_a_denied_call_runs_on_no_surface(
    engine: Engine, workspace: Workspace, pay: PayTool, surface: Surface
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo", "pay"])
    publish(workspace, pay=DENY)
    run = engine.play(surface(engine, workspace))

    assert run.state == "succeeded", run.reason
    assert len(pay.ran) == _paid_before(surface)
    payer = _payer(run)
    assert ledger(payer)[-1] == ("pay", "denied")
    check_invariants(payer.pk)


@pytest.mark.parametrize("surface", LIVE, ids=lambda surface: surface.__name__)
def test_an_asked_call_waits_on_every_surface(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, surface: Surface
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo", "pay"])
    publish(workspace, pay=ASK)
    run = surface(engine, workspace)
    if not engine.is_started:
        engine.start()
    kind = "children" if surface is delegation else "approval"
    engine.until(run, RunState.WAITING, wait_kind=kind)
    payer = engine.until(_payer(run), RunState.WAITING, wait_kind="approval")

    assert len(pay.ran) == _paid_before(surface)
    assert ledger(payer)[-1] == ("pay", "waiting")
    (approval,) = approvals_of(payer)
    decide(ann, approval)
    run = engine.until(run)
    assert len(pay.ran) == _paid_before(surface) + 1
    check_invariants(payer.pk)


@pytest.mark.parametrize("answer", [DENY, ASK], ids=["deny", "ask"])
def test_a_replay_does_nothing_whatever_the_policy_says(
    engine: Engine, workspace: Workspace, pay: PayTool, answer: dict[str, str]
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo", "pay"])
    origin = _ended(engine, workspace)
    publish(workspace, pay=answer)
    run = engine.play(run_replay(actor=boss(), run_id=origin.pk))

    assert (run.state, len(pay.ran)) == ("succeeded", 1)
    assert approvals_of(run) == []
    check_invariants(run.pk)


def test_a_replay_of_a_denied_call_shows_it_denied(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    script_agent(workspace, SCRIPT, tools=["echo", "pay"])
    publish(workspace, pay=DENY)
    origin = engine.play(begin(workspace))
    run = engine.play(run_replay(actor=boss(), run_id=origin.pk))

    assert ledger(run) == ledger(origin) == [("echo", "committed"), ("pay", "denied")]
    assert pay.ran == []


def test_nothing_but_the_door_calls_a_tool() -> None:
    """No address, command or page tries a tool out past the door: only it has the word."""
    callers = {
        module.place
        for module in modules(*SERVER)
        for node in nodes(module, ast.Call)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "call"
        and isinstance(node.func.value, ast.Attribute | ast.Name)
        and "tool" in ast.unparse(node.func.value).lower()
    }

    assert callers == {"plugins/dispatch/door.py"}


def test_nothing_but_the_runner_of_calls_uses_the_door() -> None:
    users = {
        module.place
        for module in modules(*SERVER)
        for node in nodes(module, ast.Attribute)
        if isinstance(node, ast.Attribute)
        and node.attr in {"perform", "recover"}
        and "door" in ast.unparse(node.value)
    }

    assert users == {"agents/execution/calls.py"}
