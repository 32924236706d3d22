"""Giving standing approvals: who may, for what, and how narrow the pattern has to be."""

from typing import Any

import pytest

from agents.models import Agent
from core.errors import (
    ConflictError,
    InvalidInputError,
    PermissionDeniedError,
    StaleStateError,
)
from governance.access import actor_of_user
from governance.contracts import Actor
from governance.models import Approval, ApprovalVote, Grant, User, Workspace
from governance.services.approvals import grant_propose
from tests.integration.agents.approvals.granting import (
    GRANTABLE,
    SEVEN,
    UP_TO_TEN,
    asks,
    give,
    pays,
)
from tests.integration.agents.approvals.kit import PayTool, decide, parked, paying, person, publish
from tests.integration.agents.execution.kit import Engine, boss, script_agent


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
    with pytest.raises(PermissionDeniedError, match="You wrote the agent that asks, so"):
        give(gus, approval)
    with pytest.raises(PermissionDeniedError, match="You wrote the agent that asks, so"):
        decide(gus, approval)
    assert decide(person(workspace, "ann"), approval).state == "approved"
