"""Forks of every kind, and what a session does with new input."""

import pytest

from agents.contracts import RunState, SessionStrategy
from agents.errors import SessionBusyError
from agents.execution.claiming import claim
from agents.models import Checkpoint, Run
from agents.services.runs import run_cancel, run_fork
from core.errors import InvalidInputError
from core.ids import new_id
from governance.models import Workspace
from plugins.models import ToolCall
from tests.factories.agents import make_model, make_provider, make_session
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
  - text: I look.
    tool_calls: [{name: echo, arguments: {text: one}}, {name: echo, arguments: {text: two}}]
  - text: "You said ${input}"
"""


def test_a_fork_from_the_middle_refers_to_what_came_before(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, SCRIPT)
    origin = engine.play(begin(workspace))
    before = told(origin)
    last = Checkpoint.objects.filter(run=origin, state__phase="model").order_by("-sequence")[0]
    fork = engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=last.sequence))

    assert told(fork) == before == told(origin)
    assert (fork.prefix_run_id, fork.prefix_length) == (origin.pk, 5 - 1)
    assert (fork.iteration, fork.forked_from_sequence) == (1, last.sequence)
    assert not ToolCall.objects.filter(run_id=fork.pk).exists()
    for run in (origin, fork):
        check_invariants(run.pk)


def test_calls_that_had_no_result_at_the_checkpoint_are_made_by_the_fork(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, SCRIPT)
    origin = engine.play(begin(workspace))
    fork = engine.play(run_fork(actor=boss(), run_id=origin.pk, checkpoint=1))

    assert sorted(told(fork)) == sorted(told(origin))
    assert ToolCall.objects.filter(run_id=fork.pk, state="committed").count() == 2
    check_invariants(fork.pk)


def test_another_message_answers_open_calls_as_not_done(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, SCRIPT)
    origin = engine.play(begin(workspace))
    fork = engine.play(
        run_fork(actor=boss(), run_id=origin.pk, checkpoint=1, message="Never mind.")
    )
    not_done = "error The conversation was forked before this call had an outcome."

    assert told(fork)[:7] == [
        "user do it",
        "assistant I look.",
        "call echo",
        "call echo",
        not_done,
        not_done,
        "user Never mind.",
    ]
    assert fork.output == "You said Never mind."
    check_invariants(fork.pk)


def test_the_end_of_a_run_is_gone_on_from_with_a_message(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, SCRIPT)
    origin = engine.play(begin(workspace))
    with pytest.raises(InvalidInputError, match="is the end of the run"):
        run_fork(actor=boss(), run_id=origin.pk)
    fork = engine.play(run_fork(actor=boss(), run_id=origin.pk, message="And more?"))
    again = engine.play(run_fork(actor=boss(), run_id=fork.pk, message="And more yet?"))

    assert told(fork)[: len(told(origin))] == told(origin)
    assert told(again)[: len(told(fork))] == told(fork)
    assert again.output == "You said And more yet?"
    check_invariants(again.pk)


def test_a_fork_may_use_another_model(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, SCRIPT)
    make_provider(workspace, "other", script='steps: [{text: "Other words.", repeat: forever}]')
    make_model(workspace, "other", provider="other")
    origin = engine.play(begin(workspace))
    last = Checkpoint.objects.filter(run=origin, state__phase="model").order_by("-sequence")[0]
    fork = engine.play(
        run_fork(actor=boss(), run_id=origin.pk, checkpoint=last.sequence, model="other")
    )

    assert (fork.output, origin.output) == ("Other words.", "You said do it")
    with pytest.raises(InvalidInputError, match="no model 'nothing'"):
        run_fork(actor=boss(), run_id=origin.pk, checkpoint=1, model="nothing")
    with pytest.raises(InvalidInputError, match="no checkpoint 99"):
        run_fork(actor=boss(), run_id=origin.pk, checkpoint=99)


SLOW = """
branches:
  - when: {contains: slow}
    steps:
      - text: Begun.
        tool_calls: [{name: wait, arguments: {seconds: 3600}}]
      - text: late
  - steps: [{text: "heard ${input}", repeat: forever}]
"""


def busy(engine: Engine, workspace: Workspace, strategy: SessionStrategy) -> tuple[object, Run]:
    script_agent(workspace, SLOW)
    session = make_session(workspace, strategy=strategy.value)
    first = begin(workspace, "slow", session=session.pk)
    engine.start()
    engine.until(first, RunState.WAITING)
    return session.pk, first


def test_a_busy_session_rejects(engine: Engine, workspace: Workspace) -> None:
    session, first = busy(engine, workspace, SessionStrategy.REJECT)

    with pytest.raises(SessionBusyError, match=str(first.pk)):
        begin(workspace, "quick", session=session)
    assert Run.objects.count() == 1


def test_a_busy_session_enqueues(engine: Engine, workspace: Workspace) -> None:
    session, first = busy(engine, workspace, SessionStrategy.ENQUEUE)
    second = begin(workspace, "quick", session=session)
    third = begin(workspace, "again", session=session)
    assert (second.state, second.wait_kind, third.state) == ("waiting", "turn", "waiting")

    run_cancel(actor=boss(), run_id=first.pk)
    engine.until(second)
    engine.until(third)

    assert (second.output, third.output) == ("heard quick", "heard again")
    assert second.finished_at is not None
    assert third.started_at is not None
    assert second.finished_at <= third.started_at


@pytest.mark.parametrize(
    ("strategy", "is_rolled_back"),
    [(SessionStrategy.INTERRUPT, False), (SessionStrategy.ROLLBACK, True)],
)
def test_a_busy_session_gives_way(
    engine: Engine, workspace: Workspace, strategy: SessionStrategy, is_rolled_back: bool
) -> None:
    session, first = busy(engine, workspace, strategy)
    second = engine.play(begin(workspace, "quick", session=session))
    first.refresh_from_db()

    assert (first.state, first.is_rolled_back) == ("cancelled", is_rolled_back)
    assert (second.state, second.output) == ("succeeded", "heard quick")
    check_invariants(first.pk)


def test_a_session_remembers(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, 'steps: [{text: "heard ${input}"}]')
    session = make_session(workspace)
    engine.play(begin(workspace, "one", session=session.pk))
    second = engine.play(begin(workspace, "two", session=session.pk))

    assert second.output == "heard two"
    assert told(second) == ["user two", "assistant heard two"]
    check_invariants(second.pk)


def test_a_fork_knows_what_the_session_of_its_origin_knew(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, 'steps: [{text: "heard ${input}"}]')
    session = make_session(workspace)
    engine.play(begin(workspace, "one", session=session.pk))
    second = engine.play(begin(workspace, "two", session=session.pk))
    engine.stop()
    fork = run_fork(actor=boss(), run_id=second.pk, message="three")

    (context,) = claim(worker_id=new_id(), count=5, lease_seconds=5)

    assert context.run_id == fork.pk
    assert [message.text for message in context.history] == [
        "one", "heard one", "two", "heard two", "three",
    ]  # fmt: skip
    assert context.context_length == 2
