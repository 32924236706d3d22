"""Standing approvals: calls alike run unasked, as often as was said, and only as they were."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection

from agents.contracts import RunState
from agents.execution.sweep import sweep
from agents.models import Agent, Run
from agents.services.runs import run_start
from core import clock, pausepoints
from core.errors import (
    ConflictError,
    InvalidInputError,
    PermissionDeniedError,
    StaleStateError,
)
from governance.access import actor_of_user
from governance.contracts import Actor
from governance.models import (
    Approval,
    ApprovalVote,
    AuditEntry,
    Grant,
    GrantUse,
    Membership,
    User,
    Workspace,
)
from governance.services.approvals import grant_give, grant_propose, grant_revoke
from plugins.models import ToolCall
from tests.factories.agents import publish as publish_agent
from tests.integration.agents.approvals.kit import (
    ASK,
    DENY,
    PayTool,
    at_once,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.approvals.test_races import in_thread
from tests.integration.agents.execution.kit import (
    Engine,
    boss,
    check_invariants,
    kinds,
    ledger,
    script_agent,
    told,
)

SEVEN = {"arguments": {"amount": {"equals": 7}}}
UP_TO_TEN = {"arguments": {"amount": {"min": 1, "max": 10}}}
GRANTABLE = {**ASK, "is_grantable": True}


@pytest.fixture
def gus(workspace: Workspace) -> Actor:
    """Somebody who may give standing approvals of privileged tools."""
    return person(workspace, "gus", "admin")


def pays(amount: int) -> str:
    return f"steps: [{{tool_calls: [{{name: pay, arguments: {{amount: {amount}}}}}]}}, {{text: k}}]"


def asks(engine: Engine, workspace: Workspace, **answers: Any) -> tuple[Run, Approval]:
    publish(workspace, pay={**GRANTABLE, **answers})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    return run, approval


def give(actor: Actor, approval: Approval, pattern: Any = SEVEN, **options: Any) -> Grant:
    return grant_give(actor=actor, approval_id=approval.pk, pattern=pattern, **options)


def test_calls_alike_run_unasked_after_one_yes(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, reason="Fine every time.")
    engine.until(run)
    second = engine.until(paying(workspace))

    approval.refresh_from_db()
    assert (approval.state, approval.decided_by_name) == ("approved", "gus")
    assert (second.state, len(pay.ran), ledger(second)) == ("succeeded", 2, [("pay", "committed")])
    assert Approval.objects.count() == 1
    grant.refresh_from_db()
    use = GrantUse.objects.get()
    call = ToolCall.objects.get(run_id=second.pk)
    assert (grant.uses, grant.state, use.grant_id) == (1, "active", grant.pk)
    assert (use.subject_id, use.run_id) == (call.pk, second.pk)
    assert (use.agent_name, use.requester_name) == ("helper", "boss")
    assert call.decision is not None
    assert (call.decision["grant"], call.decision["rule"]) == (str(grant.pk), "ask-first")
    assert (call.attempt, call.decision["is_allowed"]) == (1, True)
    entry = AuditEntry.objects.filter(subject_id=str(call.pk)).get()
    assert (entry.payload["verdict"], entry.payload["grant"]) == ("granted", str(grant.pk))
    assert kinds(second).count("approval.noted") == 1
    check_invariants(second.pk)


def test_what_the_pattern_does_not_speak_of_is_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    give(gus, approval, UP_TO_TEN)
    engine.until(run)
    script_agent(workspace, pays(11), name="eager", tools=["pay"])
    other = run_start(actor=boss(), workspace=workspace, agent="eager", input="go")

    assert len(parked(engine, other)) == 1
    assert GrantUse.objects.count() == 0
    assert [each["amount"] for each in pay.ran] == [7]


@pytest.mark.parametrize(("options", "is_asked"), [({}, True), ({"any_agent": True}, False)])
def test_other_agents_are_covered_only_where_it_says_so(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    options: dict[str, Any],
    is_asked: bool,
) -> None:
    run, approval = asks(engine, workspace)
    give(gus, approval, **options)
    engine.until(run)
    script_agent(workspace, pays(7), name="other", tools=["pay"])
    other = run_start(actor=boss(), workspace=workspace, agent="other", input="go")
    if is_asked:
        parked(engine, other)
    else:
        engine.until(other)
    assert len(pay.ran) == (1 if is_asked else 2)


def test_other_people_are_covered_only_where_it_says_so_and_never_its_giver(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    give(gus, approval)
    engine.until(run)
    zoe = person(workspace, "zoe", "operator")
    hers = run_start(actor=zoe, workspace=workspace, agent="helper", input="go")
    (asked,) = parked(engine, hers)
    grant = give(gus, asked, any_requester=True)
    engine.until(hers)
    again = run_start(actor=zoe, workspace=workspace, agent="helper", input="go")
    engine.until(again)
    grant.refresh_from_db()
    assert (grant.uses, len(pay.ran)) == (1, 3)

    own = run_start(actor=gus, workspace=workspace, agent="helper", input="go")
    parked(engine, own)
    grant.refresh_from_db()
    assert (grant.uses, len(pay.ran)) == (1, 3)


def test_a_hundred_calls_at_once_never_use_it_more_often_than_was_said(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval, uses=37)
    engine.until(run)
    engine.stop()
    pay.ran.clear()
    runs = [paying(workspace) for _ in range(100)]
    for _ in range(2):
        engine.start(capacity=60)
    for each in runs:
        engine.until(each, RunState.SUCCEEDED, RunState.WAITING)

    grant.refresh_from_db()
    states = sorted(Run.objects.filter(pk__in=[each.pk for each in runs]).values_list("state"))
    assert states == [("succeeded",)] * 37 + [("waiting",)] * 63
    assert (grant.uses, grant.state, grant.ended_reason) == (37, "used_up", "Used 37 times.")
    assert (GrantUse.objects.count(), len(pay.ran)) == (37, 37)
    assert Approval.objects.filter(state="pending").count() == 63


def _revoke(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    grant_revoke(actor=gus, grant_id=grant.pk, reason="Enough.")


def _expire(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    Grant.objects.filter(pk=grant.pk).update(expires_at=clock.now() - timedelta(seconds=1))


def _publish(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    publish(workspace, pay=GRANTABLE)


def _forbid(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    user = User.objects.get(username=gus.username)
    Membership.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk).update(is_active=False)


def _edit_agent(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    agent = Agent.objects.get(workspace=workspace, name="helper")
    publish_agent(agent, model="m-helper", tools=["pay", "echo"], prompt="Be bold.")


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (_revoke, "revoked", "Enough."),
        (_expire, "expired", "Its time is over."),
        (_publish, "changed", "Changed since: policy."),
        (_forbid, "changed", "gus may not decide here any more."),
        (_edit_agent, "changed", "Changed since: agent version."),
    ],
)
def test_it_ends_by_name_and_the_next_call_is_asked(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    end: Any,
    state: str,
    reason: str,
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.until(paying(workspace))
    assert len(pay.ran) == 2
    end(gus, grant, workspace)
    parked(engine, paying(workspace))
    sweep()

    grant.refresh_from_db()
    assert (grant.state, grant.ended_reason, grant.uses) == (state, reason, 1)
    assert len(pay.ran) == 2
    with pytest.raises(StaleStateError, match=f"The grant is {state}"):
        grant_revoke(actor=boss(), grant_id=grant.pk)


def test_a_tool_that_is_another_than_was_granted_ends_it(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.integration.agents.approvals.kit import install

    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    other = PayTool(description="Pays somebody else.")
    install(monkeypatch, other)
    engine.start()
    parked(engine, paying(workspace))

    grant.refresh_from_db()
    assert grant.state == "changed"
    assert "tool version" in grant.ended_reason
    assert other.ran == []


def test_a_policy_that_denies_is_never_overridden(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    publish(workspace, pay=DENY)
    denied = engine.until(paying(workspace))

    assert (ledger(denied), len(pay.ran)) == ([("pay", "denied")], 1)
    grant.refresh_from_db()
    assert grant.uses == 0


def test_another_policy_between_judging_and_claiming_counts(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    done: list[bool] = []

    def forbid() -> None:
        if not done:
            done.append(True)
            publish(workspace, pay=DENY)
            connection.close()

    with pausepoints.at("grant.before_claim", in_thread(forbid)):
        engine.start()
        second = paying(workspace)
        (asked,) = parked(engine, second)
    assert (len(pay.ran), GrantUse.objects.count()) == (1, 0)
    decide(person(workspace, "ann"), asked)
    engine.until(second)
    assert len(pay.ran) == 1
    assert "Changed since: policy." in told(second)[-2]
    grant.refresh_from_db()
    assert grant.uses == 0


def test_revoking_at_the_moment_of_counting_is_one_or_the_other(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    grant = give(gus, approval)
    engine.until(run)
    engine.stop()
    second = paying(workspace)
    outcome = at_once([partial(engine.start), partial(_revoke, gus, grant, workspace)])
    engine.until(second, RunState.SUCCEEDED, RunState.WAITING)

    assert outcome[1] is None
    grant.refresh_from_db()
    second.refresh_from_db()
    assert grant.state == "revoked"
    assert grant.uses == (1 if second.state == "succeeded" else 0)
    assert len(pay.ran) == 1 + grant.uses


def test_who_may_give_one(engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor) -> None:
    _, approval = asks(engine, workspace, approvers=["user:gus", "user:ann", "user:boss"])
    ann, eve = person(workspace, "ann"), person(workspace, "eve", "admin")
    for actor, sentence in (
        (ann, "approval.grant"),  # the tool is privileged
        (eve, "This is for user:gus"),
        (boss(), "You asked for this yourself"),
    ):
        with pytest.raises(PermissionDeniedError, match=sentence):
            give(actor, approval)
        assert sentence in grant_propose(actor=actor, approval_id=approval.pk).refusal
    approval.refresh_from_db()
    assert (approval.state, Grant.objects.count(), ApprovalVote.objects.count()) == (
        "pending", 0, 0,
    )  # fmt: skip
    assert grant_propose(actor=gus, approval_id=approval.pk).refusal == ""


@pytest.mark.parametrize(
    ("answers", "is_allowed"),
    [
        ({"is_grantable": None}, False),  # privileged and irreversible
        ({"is_grantable": False}, False),
        ({"is_grantable": True}, True),
    ],
)
def test_the_policy_says_whether_it_may_be_given(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    gus: Actor,
    answers: dict[str, Any],
    is_allowed: bool,
) -> None:
    _, approval = asks(engine, workspace, **answers)
    if is_allowed:
        assert give(gus, approval).uses == 0
        return
    with pytest.raises(PermissionDeniedError, match="does not let a yes be given to calls alike"):
        give(gus, approval)
    approval.refresh_from_db()
    assert (approval.state, Grant.objects.count()) == ("pending", 0)


def test_with_a_quorum_it_is_given_by_whoever_completes_it(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    _, approval = asks(engine, workspace, quorum=2)
    with pytest.raises(StaleStateError, match="Others must agree"):
        give(gus, approval)
    assert ApprovalVote.objects.count() == 0
    decide(person(workspace, "ann"), approval)
    assert give(gus, approval).granted_by_name == "gus"


def test_the_pattern_must_speak_of_every_argument_and_cover_the_call(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    _, approval = asks(engine, workspace)
    proposal = grant_propose(actor=gus, approval_id=approval.pk)
    assert (proposal.pattern, proposal.unnamed) == (SEVEN, ())
    assert (proposal.tool, proposal.agent, proposal.requester) == ("pay", "helper", "boss")
    for pattern, sentence in (
        ({}, "No test speaks of `amount`"),
        ({"arguments": {"other": {"present": False}}}, "No test speaks of `amount`"),
        ({"arguments": {"amount": {"max": 3}}}, "one of its tests does not hold"),
        ({"arguments": {"amount": {"maximum": 3}}}, "has no key `maximum`"),
        ({"argument": {}}, "There is no `argument` in a pattern"),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            give(gus, approval, pattern)
    for options in ({"uses": 0}, {"seconds": 0.5}, {"seconds": 91 * 86_400.0}):
        with pytest.raises(InvalidInputError):
            give(gus, approval, **options)
    approval.refresh_from_db()
    assert (approval.state, Grant.objects.count()) == ("pending", 0)


def test_it_can_be_given_afterwards_for_the_arguments_that_were_approved(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    run, approval = asks(engine, workspace)
    decide(gus, approval, arguments={"amount": 5})
    engine.until(run)
    assert grant_propose(actor=gus, approval_id=approval.pk).arguments == {"amount": 5}
    with pytest.raises(InvalidInputError):
        give(gus, approval, SEVEN)
    give(gus, approval, UP_TO_TEN)
    engine.until(paying(workspace))
    assert pay.ran == [{"amount": 5}, {"amount": 7}]


def test_what_was_denied_or_asked_by_another_policy_is_not_granted(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    _, approval = asks(engine, workspace)
    decide(gus, approval, "deny", reason="No.")
    with pytest.raises(StaleStateError, match="denied by gus"):
        give(gus, approval)
    _, second = asks(engine, workspace)
    publish(workspace, pay=GRANTABLE)
    with pytest.raises(ConflictError, match="Another policy is in force"):
        give(gus, second)
    assert Grant.objects.count() == 0
    assert Approval.objects.get(pk=second.pk).state == "pending"


def test_the_owner_of_an_agent_grants_nothing_to_it_where_the_policy_says_so(
    engine: Engine, workspace: Workspace, pay: PayTool, gus: Actor
) -> None:
    owner = actor_of_user(User.objects.get(username="gus"))
    publish(workspace, pay={**GRANTABLE, "allow_owner": False})
    script_agent(workspace, pays(7), tools=["pay", "echo"])
    Agent.objects.get().versions.update(created_by_id=owner.user_id)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    assert approval.owner_id == owner.user_id
    with pytest.raises(PermissionDeniedError, match="You wrote the agent that asks yourself"):
        give(gus, approval)
    with pytest.raises(PermissionDeniedError, match="You wrote the agent that asks yourself"):
        decide(gus, approval)
    assert decide(person(workspace, "ann"), approval).state == "approved"
