"""Calls in doubt stand in the same inbox, and settling them anywhere closes their question."""

from functools import partial
from typing import Any

import pytest

from agents.contracts import RunState
from agents.execution.doubts import doubts_ask
from agents.execution.sweep import sweep
from agents.models import Run
from agents.services.runs import run_cancel
from core.errors import InvalidInputError, PermissionDeniedError, StaleStateError
from governance.contracts import Actor
from governance.models import Approval, Workspace
from plugins.contracts import ToolContext, ToolResult
from plugins.errors import OutcomeUnknownError
from plugins.models import ToolCall
from plugins.services.calls import call_resolve
from tests.integration.agents.approvals.kit import (
    ALLOW,
    PayTool,
    at_once,
    decide,
    install,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine, boss, check_invariants, ledger, told
from tests.waiting import wait_for


class UnsureTool(PayTool):
    """Loses its answer the first time."""

    async def call(self, arguments: Any, context: ToolContext) -> ToolResult:
        done = await super().call(arguments, context)
        if len(self.ran) == 1:
            raise OutcomeUnknownError("The answer was lost.")
        return done


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> UnsureTool:
    tool = UnsureTool()
    install(monkeypatch, tool)
    return tool


@pytest.fixture
def omar(workspace: Workspace) -> Actor:
    return person(workspace, "omar", "operator")


def doubtful(engine: Engine, workspace: Workspace) -> tuple[Run, Approval]:
    publish(workspace, pay=ALLOW)
    run = paying(workspace)
    engine.start()
    engine.until(run, RunState.WAITING, wait_kind="in_doubt")
    asked = Approval.objects.filter(kind="in_doubt", state="pending")
    wait_for(asked.exists, lambda: "nothing is asked")
    return run, asked.get()


@pytest.mark.parametrize(
    ("choice", "state", "times"),
    [("happened", "committed", 1), ("did_not_happen", "failed", 1), ("retry", "committed", 2)],
)
def test_the_inbox_settles_it_and_the_run_goes_on(
    engine: Engine,
    workspace: Workspace,
    unsure: UnsureTool,
    omar: Actor,
    choice: str,
    state: str,
    times: int,
) -> None:
    run, asked = doubtful(engine, workspace)
    assert (asked.title, asked.choices) == (
        "Did pay of helper happen?",
        ["happened", "did_not_happen", "retry"],
    )
    assert (asked.arguments, asked.requester_name) == ({"amount": 7}, "boss")
    decided = decide(omar, asked, choice=choice, reason="I looked.")
    run = engine.until(run)

    assert (decided.state, decided.choice, decided.decided_by_name) == ("approved", choice, "omar")
    assert (ledger(run), len(unsure.ran)) == ([("pay", state)], times)
    assert told(run)[-1] == "assistant Done."
    check_invariants(run.pk)


def test_resolving_elsewhere_closes_its_question(
    engine: Engine, workspace: Workspace, unsure: UnsureTool, omar: Actor
) -> None:
    run, asked = doubtful(engine, workspace)
    call_resolve(actor=omar, call_id=asked.subject_id, outcome="committed", note="Seen.")
    asked.refresh_from_db()
    assert (asked.state, asked.choice, asked.decided_by_name) == ("approved", "happened", "omar")
    with pytest.raises(StaleStateError, match="approved by omar"):
        decide(omar, asked, choice="retry")
    assert doubts_ask() == 0
    engine.until(run)
    assert len(unsure.ran) == 1


def test_of_both_ways_at_once_one_wins(
    engine: Engine, workspace: Workspace, unsure: UnsureTool, omar: Actor
) -> None:
    run, asked = doubtful(engine, workspace)
    engine.stop()
    outcomes = at_once(
        [
            partial(decide, omar, asked, choice="did_not_happen"),
            partial(call_resolve, actor=boss(), call_id=asked.subject_id, outcome="committed"),
            doubts_ask,
            doubts_ask,
        ]
    )
    lost = [each for each in outcomes[:2] if isinstance(each, StaleStateError)]
    assert len(lost) == 1, outcomes
    asked.refresh_from_db()
    call = ToolCall.objects.get(pk=asked.subject_id)
    expected = {"did_not_happen": "failed", "happened": "committed"}
    assert call.state == expected[asked.choice]
    assert Approval.objects.filter(kind="in_doubt").count() == 1
    engine.start()
    engine.until(run)


def test_it_is_asked_again_only_when_it_is_in_doubt_again(
    engine: Engine, workspace: Workspace, unsure: UnsureTool, omar: Actor
) -> None:
    run, asked = doubtful(engine, workspace)
    assert (doubts_ask(), Approval.objects.count()) == (0, 1)
    Approval.objects.all().delete()  # a worker died before it asked
    sweep()
    assert Approval.objects.get().subject_id == asked.subject_id
    run_cancel(actor=boss(), run_id=run.pk)
    again = Approval.objects.get()
    assert again.state == "pending"  # what may have happened is still to be said
    decide(omar, again, choice="happened")
    assert ledger(run) == [("pay", "committed")]


def test_who_may_say_what(
    engine: Engine, workspace: Workspace, unsure: UnsureTool, omar: Actor, ann: Actor
) -> None:
    _, asked = doubtful(engine, workspace)
    with pytest.raises(PermissionDeniedError, match=r"tool_call\.resolve"):
        decide(ann, asked, choice="happened")
    for verdict, options in (
        ("approve", {}),
        ("approve", {"choice": "perhaps"}),
        ("deny", {"choice": "happened"}),
        ("approve", {"choice": "happened", "arguments": {"amount": 1}}),
    ):
        with pytest.raises(InvalidInputError):
            decide(omar, asked, verdict, **options)
    asked.refresh_from_db()
    assert (asked.state, asked.edited_arguments) == ("pending", None)
