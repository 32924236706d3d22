"""Step mode and breakpoints on a real engine: held before each call, one word lets one call go.

The engine is held, or killed, at pause points, so that each order of events is a test.
"""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from agents.contracts import RunState
from agents.execution import cancelling
from agents.execution.sweep import sweep
from agents.models import Run
from agents.selectors.debugging import debugger_of
from agents.selectors.why import why
from agents.services.runs import run_pause, run_resume
from agents.services.runs.debugging import run_continue, run_debug_set, run_step
from agents.transitions import leases_end
from core.errors import InvalidInputError, StaleStateError
from governance.contracts import Actor
from governance.models import Workspace
from observability.models import TraceEvent
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    held_at,
    kinds,
    ledger,
    script_agent,
    told,
)

S = RunState
THREE = """
steps:
  - tool_calls:
      - {name: echo, arguments: {text: "one"}}
      - {name: echo, arguments: {text: "two"}}
      - {name: echo, arguments: {text: "three"}}
  - text: "Done, Sir."
"""
TOOLS: dict[str, Any] = {"tools": ["echo"]}
UNKNOWN = (
    "Breakpoint cost:0.1: a model that answered has no known price, so the cost may be above it "
    "already."
)


def debug(run: Run, **settings: Any) -> Run:
    run.refresh_from_db()
    return run_debug_set(actor=boss(), run_id=run.pk, version=run.debug_version, settings=settings)


def points(*names: str) -> list[dict[str, str]]:
    return [dict(zip(("kind", "value"), name.split(":", 1), strict=True)) for name in names]


def step(run: Run) -> Run:
    run.refresh_from_db()
    return run_step(actor=boss(), run_id=run.pk, version=run.debug_version)


def go_on(run: Run) -> Run:
    run.refresh_from_db()
    return run_continue(actor=boss(), run_id=run.pk, version=run.debug_version)


def debugged(workspace: Workspace, script: str = THREE, **settings: Any) -> Run:
    script_agent(workspace, script, **TOOLS)
    return debug(begin(workspace), **settings)


def states(run: Run) -> list[str]:
    return [state for _, state in ledger(run)]


def held(engine: Engine, run: Run) -> str:
    engine.until(run, S.PAUSED)
    assert run.worker_id is None
    return run.reason


def test_a_step_lets_exactly_one_call_go(engine: Engine, workspace: Workspace) -> None:
    run = debugged(workspace, step="both")
    engine.start()
    assert held(engine, run) == "Held before model call 1 (step mode)."
    assert run.error_code == "step"
    assert (told(run), states(run)) == (["user do it"], [])

    step(run)
    assert held(engine, run) == "Held before 3 calls (echo, echo, echo) (step mode)."
    assert states(run) == ["planned"] * 3
    step(run)
    assert held(engine, run) == "Held before 2 calls (echo, echo) (step mode)."
    assert states(run) == ["committed", "planned", "planned"]
    step(run)
    assert held(engine, run) == "Held before the call of echo (step mode)."
    step(run)
    assert held(engine, run) == "Held before model call 2 (step mode)."
    assert states(run) == ["committed"] * 3
    step(run)
    engine.until(run, S.SUCCEEDED)
    assert run.output == "Done, Sir."
    check_invariants(run.pk)


@pytest.mark.parametrize(
    ("mode", "places"),
    [
        (
            "model",
            ["Held before model call 1 (step mode).", "Held before model call 2 (step mode)."],
        ),
        ("tool", ["Held before 3 calls (echo, echo, echo) (step mode)."]),
    ],
)
def test_a_resume_lets_the_whole_place_go_and_step_mode_stays(
    engine: Engine, workspace: Workspace, mode: str, places: list[str]
) -> None:
    run = debugged(workspace, step=mode)
    engine.start()
    for place in places:
        assert held(engine, run) == place
        run_resume(actor=boss(), run_id=run.pk)
    engine.until(run, S.SUCCEEDED)
    check_invariants(run.pk)


def test_a_run_without_a_debugger_is_stepped_and_then_free(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, THREE, **TOOLS)
    run = begin(workspace)
    run_pause(actor=boss(), run_id=run.pk)
    engine.start()
    step(run)
    assert held(engine, run) == "Held before 3 calls (echo, echo, echo) (step mode)."
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    assert Run.objects.values_list("debug", flat=True).get(pk=run.pk) is None


@pytest.mark.parametrize(
    ("point", "sentence", "ledger_then"),
    [
        (
            "tool:ec*",
            "Breakpoint tool:ec*: the run is about to make 3 calls (echo, echo, echo).",
            3,
        ),
        ("agent:help*", "Breakpoint agent:help*: helper is about to begin.", 0),
        ("text:TWO", "Breakpoint text:TWO: the arguments of the call of echo contain it.", 3),
        ("text:sir", "Breakpoint text:sir: the model's answer contains it.", 3),
    ],
)
def test_a_breakpoint_holds_the_run_before_any_call_of_the_turn(
    engine: Engine, workspace: Workspace, point: str, sentence: str, ledger_then: int
) -> None:
    run = debugged(workspace, breakpoints=points(point))
    engine.start()
    assert held(engine, run) == sentence
    is_answered = point == "text:sir"
    assert states(run) == ["committed" if is_answered else "planned"] * ledger_then
    assert [(reason.code, reason.sentence) for reason in why(run).reasons] == [
        ("breakpoint", sentence)
    ]
    moved = TraceEvent.objects.filter(run_id=run.pk, kind="run.state").latest("sequence").payload
    assert (moved["state"], moved["error_code"], moved["reason"]) == (
        "paused", "breakpoint", sentence,
    )  # fmt: skip
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    assert run.output == "Done, Sir."
    check_invariants(run.pk)


@pytest.mark.parametrize(
    ("cost", "sentence"),
    [
        (Decimal("0.2"), "Breakpoint cost:0.1: the run has cost $0.2."),
        (None, UNKNOWN),
    ],
)
def test_a_cost_breakpoint_hits_once(
    engine: Engine,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    cost: Decimal | None,
    sentence: str,
) -> None:
    monkeypatch.setattr("agents.execution.completion.cost_of", lambda *_: cost)
    script = """
steps:
  - {tool_calls: [{name: echo, arguments: {text: a}}]}
  - {tool_calls: [{name: echo, arguments: {text: b}}]}
  - {text: Done.}
"""
    run = debugged(workspace, script, breakpoints=points("cost:$0.1"))
    engine.start()
    assert held(engine, run) == sentence
    assert states(run) == ["planned"]
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    assert run.output == "Done."


@pytest.mark.parametrize("has_heard", [True, False], ids=["heard", "not heard"])
def test_the_debugger_of_a_run_under_way_holds_it_at_the_next_boundary(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, has_heard: bool
) -> None:
    script_agent(workspace, THREE, **TOOLS)
    run = begin(workspace)
    monkeypatch.setattr(cancelling, "asked_of", lambda _worker_id: [])
    # The answer is on its way when somebody wants to look at the calls it asks for. A worker that
    # is only told by its own commit has dispatched what may be repeated with that.
    with held_at("step.after_model") as gate:
        host = engine.start()
        gate.wait()
        debug(run, step="tool")
        if has_heard:
            host._drivers[run.pk].debug_changed()  # its thread is held
        gate.open()
        assert held(engine, run) == "Held before 3 calls (echo, echo, echo) (step mode)."
    assert TraceEvent.objects.filter(run_id=run.pk, kind="tool.settled").count() == 0
    assert states(run) == ["planned" if has_heard else "dispatched"] * 3
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    check_invariants(run.pk)


def test_a_worker_that_dies_between_the_word_and_the_call_makes_it_once(
    engine: Engine, workspace: Workspace
) -> None:
    run = debugged(workspace, step="tool")
    host = engine.start()
    held(engine, run)

    with held_at("step.let_go") as gate:
        step(run)
        gate.wait()
        run.refresh_from_db()
        lost = run.fence
        leases_end(host.worker_id, leases=[(run.pk, lost)])  # as if it had died here
        assert sweep().expired == 1
        gate.open()
        assert held(engine, run) == "Held before 2 calls (echo, echo) (step mode)."
    assert states(run) == ["committed", "planned", "planned"]
    assert run.fence == lost + 1
    assert TraceEvent.objects.filter(run_id=run.pk, kind="tool.dispatched").count() == 1
    go_on(run)
    engine.until(run, S.SUCCEEDED)
    check_invariants(run.pk)


def test_of_two_who_step_at_once_one_wins_and_the_other_hears_who(
    engine: Engine, workspace: Workspace
) -> None:
    run = debugged(workspace, step="both")
    engine.start()
    held(engine, run)
    run.refresh_from_db()
    seen = run.debug_version
    people = [
        Actor(user_id=boss().user_id, username=name, is_superuser=True) for name in ("ann", "bob")
    ]
    barrier, heard = threading.Barrier(2), []

    def act(actor: Actor) -> None:
        barrier.wait(30)
        try:
            run_step(actor=actor, run_id=run.pk, version=seen)
            heard.append(("won", actor.username, ""))
        except StaleStateError as error:
            heard.append(("lost", actor.username, str(error.detail["by"])))
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(actor,)) for actor in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [name for what, name, _ in heard if what == "won"]
    (loser,) = [(name, by) for what, name, by in heard if what == "lost"]
    assert loser[1] == winner
    assert held(engine, run) == "Held before 3 calls (echo, echo, echo) (step mode)."
    assert states(run) == ["planned"] * 3
    with pytest.raises(StaleStateError, match=f"{winner} stepped it"):
        run_step(actor=boss(), run_id=run.pk, version=seen)
    assert states(run) == ["planned"] * 3


PARENT = """
steps:
  - tool_calls:
      - {name: agent, arguments: {agent: worker, input: "dig"}}
      - {name: agent, arguments: {agent: worker, input: "fill"}}
  - text: Both done.
"""


def family(workspace: Workspace, **settings: Any) -> Run:
    script_agent(workspace, 'steps: [{text: "dug"}]', name="worker")
    script_agent(workspace, PARENT, delegates=["worker"])
    return debug(begin(workspace), **settings)


def test_a_tree_is_debugged_whole_and_goes_on_whole(engine: Engine, workspace: Workspace) -> None:
    run = family(workspace, breakpoints=points("agent:worker"), scope="tree")
    engine.start()
    engine.until(run, S.WAITING, wait_kind="children")
    children = list(Run.objects.filter(parent=run).order_by("pk"))
    for child in children:
        assert held(engine, child) == "Breakpoint agent:worker: worker is about to begin."
    run.refresh_from_db()
    assert [below.pk for below in debugger_of(run).held_below] == [child.pk for child in children]
    step(children[0])
    engine.until(children[0], S.SUCCEEDED)
    children[1].refresh_from_db()
    assert children[1].state == "paused"

    debug(run, step="off", scope="run")  # the tree is free, but what is held waits for a word
    go_on(children[1])
    engine.until(run, S.SUCCEEDED)
    check_invariants(run.pk)


def test_a_run_alone_is_debugged_alone(engine: Engine, workspace: Workspace) -> None:
    run = family(workspace, step="model", scope="run")
    engine.start()
    held(engine, run)
    step(run)
    assert held(engine, run) == "Held before model call 2 (step mode)."
    assert {child.state for child in Run.objects.filter(parent=run)} == {"succeeded"}


def test_what_means_nothing_is_refused(workspace: Workspace) -> None:
    script_agent(workspace, THREE, **TOOLS)
    run = begin(workspace)
    for point in ("cost:cheap", "cost:NaN", "cost:-1", "tool: ", "tool:" + "x" * 201):
        with pytest.raises(InvalidInputError):
            debug(run, breakpoints=points(point))
    with pytest.raises(InvalidInputError, match="at most 20"):
        debug(run, breakpoints=points(*(f"tool:t{number}" for number in range(21))))
    with pytest.raises(StaleStateError, match="at version 0 now"):
        run_debug_set(actor=boss(), run_id=run.pk, version=1, settings={"step": "both"})
    run.refresh_from_db()
    assert (run.debug, run.debug_version, kinds(run)) == (None, 0, ["run.created"])
