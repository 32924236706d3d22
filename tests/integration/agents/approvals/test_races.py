"""Of everybody who decides at once one wins, and one wake-up follows."""

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from agents.contracts import RunState
from agents.models import Run
from agents.services.runs import run_cancel, run_start
from core import pausepoints
from core.errors import StaleStateError
from governance.contracts import SYSTEM, Actor
from governance.models import Approval, ApprovalVote, User, Workspace
from observability.models import TraceEvent
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    at_once,
    decide,
    in_thread,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    boss,
    check_invariants,
    kinds,
    ledger,
    script_agent,
)

DECIDERS = 100


def wakings(run: Run) -> int:
    rows = TraceEvent.objects.filter(run_id=run.pk, kind="run.state")
    return sum(row.payload.get("before") == "waiting" for row in rows)


def test_of_a_hundred_who_decide_at_once_one_wins(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()  # nobody takes the run up, so that wake-ups can be counted
    deciders = [person(workspace, f"person{number}") for number in range(DECIDERS)]

    def work(number: int) -> Any:
        verdict = "approve" if number % 2 else "deny"
        return lambda: decide(deciders[number], approval, verdict)

    outcomes = at_once(work(number) for number in range(DECIDERS))

    won = [number for number, each in enumerate(outcomes) if isinstance(each, Approval)]
    lost = [each for each in outcomes if isinstance(each, StaleStateError)]
    assert (len(won), len(lost)) == (1, DECIDERS - 1), outcomes
    winner = deciders[won[0]].username
    state = "approved" if won[0] % 2 else "denied"
    assert {each.status for each in lost} == {409}
    assert {each.detail["by"] for each in lost} == {winner}
    assert all(winner in str(each) and state in str(each) for each in lost)
    approval.refresh_from_db()
    assert (approval.state, approval.decided_by_name) == (state, winner)
    assert ApprovalVote.objects.count() == 1
    assert wakings(run) == 1
    assert kinds(run).count("approval.decided") == 1
    engine.start()
    run = engine.until(run)
    assert pay.ran == ([{"amount": 7}] if state == "approved" else [])
    check_invariants(run.pk)


def test_three_votes_at_once_for_a_quorum_of_two_are_one_decision(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay={**ASK, "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    voters = [person(workspace, name) for name in ("ann", "ben", "cid")]

    outcomes = at_once([partial(decide, who, approval) for who in voters])

    states = sorted(each.state for each in outcomes if isinstance(each, Approval))
    lost = [each for each in outcomes if isinstance(each, StaleStateError)]
    assert (states, len(lost)) == (["approved", "pending"], 1), outcomes
    assert (wakings(run), kinds(run).count("approval.decided")) == (1, 1)
    assert kinds(run).count("approval.noted") == 1
    engine.start()
    engine.until(run)
    assert pay.ran == [{"amount": 7}]


def test_one_person_is_not_a_quorum_and_one_no_is_enough(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay={**ASK, "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    ann, ben = person(workspace, "ann"), person(workspace, "ben")
    assert decide(ann, approval).state == "pending"
    with pytest.raises(StaleStateError, match=r"You have said approve already.*1 of 2"):
        decide(ann, approval)
    assert decide(ben, approval, "deny", reason="No.").state == "denied"

    engine.until(run)
    assert pay.ran == []


def test_votes_for_other_arguments_do_not_count(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay={**ASK, "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    ann, ben = person(workspace, "ann"), person(workspace, "ben")
    decide(ann, approval)
    edited = decide(ben, approval, arguments={"amount": 5})
    assert edited.state == "pending"
    assert decide(ann, approval, seen_digest=edited.binding_digest).state == "approved"

    engine.until(run)
    assert pay.ran == [{"amount": 5}]


def test_a_decision_while_the_run_is_on_its_way_to_park_is_not_lost(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    """The call is recorded as waiting, the run is not yet: the decision falls in between."""
    publish(workspace, pay=ASK)
    run = paying(workspace)
    seen: list[str] = []

    def decide_now() -> None:
        if seen:
            return
        approval = Approval.objects.filter(run_id=run.pk).first()
        if approval is not None:
            seen.append(Run.objects.get(pk=run.pk).state)
            decide(ann, approval)
        connection.close()

    with pausepoints.at("result.after_commit", in_thread(decide_now)):
        engine.start(poll_seconds=30.0)  # no sweep comes to help
        engine.until(run)

    assert seen == ["running"]
    assert pay.ran == [{"amount": 7}]
    assert ledger(run) == [("pay", "committed")]
    check_invariants(run.pk)


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_run_that_ends_while_somebody_decides_ends_whole(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, verdict: str
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()

    outcomes = at_once(
        [
            lambda: decide(ann, approval, verdict),
            lambda: run_cancel(actor=boss(), run_id=run.pk),
        ]
    )
    engine.start()
    run = engine.until(run, RunState.CANCELLED)
    approval.refresh_from_db()
    call = ToolCall.objects.get(run_id=run.pk)

    assert isinstance(outcomes[1], Run), outcomes
    assert pay.ran == []
    if isinstance(outcomes[0], Approval):
        assert approval.state == {"approve": "approved", "deny": "denied"}[verdict]
        assert call.state == {"approve": "cancelled", "deny": "denied"}[verdict]
    else:
        assert (approval.state, call.state) == ("withdrawn", "cancelled")
    check_invariants(run.pk)


def test_who_may_decide(engine: Engine, workspace: Workspace, pay: PayTool) -> None:
    publish(workspace, pay={**ASK, "approvers": ["user:ann", "group:money", "role:admin"]})
    requester = person(workspace, "zoe", "operator", "approver")
    script_agent(workspace, "steps: [{tool_calls: [{name: pay, arguments: {}}]}, {text: k}]",
                 tools=["pay"])  # fmt: skip
    run = run_start(actor=requester, workspace=workspace, agent="helper", input="go")
    (approval,) = parked(engine, run)
    ben = person(workspace, "ben")
    viewer = person(workspace, "eve", "viewer")
    outsider_actor = boss()
    for actor, sentence in (
        (requester, "asked for this yourself"),
        (ben, "This is for user:ann"),
        (viewer, "approval.decide"),
        (outsider_actor, "This is for user:ann"),
        (SYSTEM, "has no lists"),
    ):
        with pytest.raises(Exception, match=sentence) as refused:
            decide(actor, approval)
        assert getattr(refused.value, "status", 0) in {403, 404}
    assert ApprovalVote.objects.count() == 0
    group = Group.objects.create(name="money")
    User.objects.get(username="ben").groups.add(group)
    assert decide(ben, approval).state == "approved"
    engine.until(run)
    assert len(pay.ran) == 1
