"""Nobody's yes reaches further than what they saw, and than what the policy left to them."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from agents.models import Run
from agents.services.runs import run_start
from core.errors import PermissionDeniedError, StaleStateError
from governance.access import actor_of_user
from governance.contracts import SYSTEM, Actor
from governance.models import Approval, Grant, GrantUse, Membership, User, Workspace
from governance.policy.contracts import PolicyDecision, PolicyInput
from governance.services.approvals import grant_give
from governance.services.members import member_remove
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    ToldEngine,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.approvals.test_surfaces import api
from tests.integration.agents.execution.kit import Engine, boss, script_agent

MUCH = 50
TWO = {**ASK, "quorum": 2}


class ByAmount(ToldEngine):
    """Answers calls with much money as it is told of `much`, by whatever rule that names."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._much: Mapping[str, Any] | None = msgspec.json.decode(source).get("much")

    def decide(self, question: PolicyInput) -> PolicyDecision:
        if self._much is not None and question.arguments.get("amount", 0) > MUCH:
            return msgspec.convert({**self._much, "version": "test"}, PolicyDecision)
        return super().decide(question)


@pytest.fixture(autouse=True)
def _by_amount(_told: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(source: str, language: str = "matrix") -> ByAmount:
        return ByAmount(source)

    monkeypatch.setattr("governance.services.policies.policy_engine", engine)


def asked(engine: Engine, workspace: Workspace, **answers: Mapping[str, Any]) -> Approval:
    publish(workspace, **answers)
    (approval,) = parked(engine, paying(workspace))
    return approval


def amount_of(approval: Approval) -> Any:
    arguments = ToolCall.objects.get(pk=approval.subject_id).arguments
    assert arguments is not None
    return arguments["amount"]


STRICTER = [
    {**ASK, "rule": "much", "approvers": ["role:finance"]},
    {**ASK, "rule": "ask-first", "quorum": 2},
    {**ASK, "rule": "ask-first", "allow_owner": False},
]


@pytest.mark.parametrize("much", STRICTER)
def test_an_approver_changes_nothing_into_what_others_would_be_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, much: Mapping[str, Any]
) -> None:
    approval = asked(engine, workspace, pay=ASK, much=much)
    with pytest.raises(PermissionDeniedError, match="asks otherwise about these arguments"):
        decide(ann, approval, arguments={"amount": MUCH + 1})

    approval.refresh_from_db()
    assert (approval.state, approval.edited_arguments, amount_of(approval)) == ("pending", None, 7)
    assert decide(ann, approval, arguments={"amount": 8}).state == "approved"
    assert amount_of(approval) == 8


def test_self_approval_is_not_kept_for_arguments_that_do_not_allow_it(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    approval = asked(engine, workspace, pay={**ASK, "allow_self": True}, much=ASK)
    with pytest.raises(PermissionDeniedError, match="asks otherwise about these arguments"):
        decide(boss(), approval, arguments={"amount": MUCH + 1})
    assert decide(boss(), approval).state == "approved"


def test_who_was_asked_instead_may_change_as_much_as_who_was_asked_first(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    told = {**ASK, "approvers": ["user:nobody"], "escalate_to": ["user:ann"]}
    approval = asked(engine, workspace, pay=told)
    Approval.objects.update(approvers=["user:ann"], escalate_to=[], escalations=1)
    assert decide(ann, approval, arguments={"amount": 8}).state == "approved"


def test_a_yes_counts_for_changed_arguments_only_from_who_saw_them(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    approval = asked(engine, workspace, pay=TWO)
    ben = person(workspace, "ben")
    edited = decide(ben, approval, arguments={"amount": 40})
    for seen in (None, approval.binding_digest):
        with pytest.raises(StaleStateError):
            decide(ann, approval, seen_digest=seen)
    approval.refresh_from_db()
    assert (approval.state, approval.votes.count(), amount_of(approval)) == ("pending", 1, 7)
    assert decide(ann, approval, seen_digest=edited.binding_digest).state == "approved"
    assert amount_of(approval) == 40


def test_a_no_needs_no_proof_of_what_was_seen(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    approval = asked(engine, workspace, pay=TWO)
    decide(person(workspace, "ben"), approval, arguments={"amount": 40})
    assert decide(ann, approval, "deny").state == "denied"


def test_over_http_the_binding_that_was_read_is_named(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    approval = asked(engine, workspace, pay=TWO)
    edited = decide(person(workspace, "ben"), approval, arguments={"amount": 40})
    place = f"/api/v1/workspaces/acme/approvals/{approval.pk}/decide"
    said = {"verdict": "approve"}
    blind = api("ann").post(place, said, format="json")
    assert (blind.status_code, blind.json()["code"]) == (409, "stale_state")
    assert blind.json()["detail"].startswith("ben has changed the arguments")
    assert "binding_digest" in blind.json()["remedy"]
    told = {**said, "binding_digest": edited.binding_digest}
    answer = api("ann").post(place, told, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, "approved")


def test_the_console_shows_changed_arguments_to_whoever_must_agree_to_them(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    approval = asked(engine, workspace, pay=TWO)
    user = User.objects.get(username="ann")
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    page = reverse("admin:governance_approval_decide", args=[approval.pk])
    before = client.get(page).context["form"]["seen"].value()
    edited = decide(person(workspace, "ben"), approval, arguments={"amount": 40})

    stale = client.post(page, {"verdict": "approve", "seen": before}, follow=True)
    assert "has changed the arguments since you were shown it" in stale.content.decode()
    shown = client.get(page)
    assert "&quot;amount&quot;: 40" in shown.content.decode()
    seen = shown.context["form"]["seen"].value()
    assert seen == edited.binding_digest
    done = client.post(page, {"verdict": "approve", "seen": seen}, follow=True)
    assert "It is decided." in done.content.decode()
    assert amount_of(approval) == 40


def leaves(username: str) -> None:
    User.objects.filter(username=username).update(is_active=False)


def is_put_out(username: str) -> None:
    member_remove(SYSTEM, membership=Membership.objects.get(user__username=username))


@pytest.mark.parametrize("gone", [leaves, is_put_out])
def test_the_vote_of_who_may_decide_no_more_counts_no_more(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, gone: Any
) -> None:
    approval = asked(engine, workspace, pay=TWO)
    ben, cat = person(workspace, "ben"), person(workspace, "cat")
    assert decide(ben, approval).state == "pending"
    gone("ben")
    assert decide(ann, approval).state == "pending"
    assert decide(cat, approval).state == "approved"


def given(workspace: Workspace, approval: Approval) -> Grant:
    pattern = {"arguments": {"amount": {"present": True}}}
    if not User.objects.filter(username="gus").exists():
        person(workspace, "gus", "admin")
    gus = actor_of_user(User.objects.get(username="gus"))
    return grant_give(actor=gus, approval_id=approval.pk, pattern=pattern, any_agent=True)


@pytest.mark.parametrize(
    "stricter", [{"quorum": 2}, {"is_grantable": False}, {"approvers": ["role:finance"]}]
)
def test_a_grant_answers_no_question_that_is_asked_more_strictly_than_its_own(
    engine: Engine, workspace: Workspace, pay: PayTool, stricter: Mapping[str, Any]
) -> None:
    """The rule has the same name and asks more of people where much money is at stake."""
    plain = {**ASK, "is_grantable": True}
    much = {**plain, **stricter}
    approval = asked(engine, workspace, pay=plain, much=much)
    given(workspace, approval)
    script = "steps: [{tool_calls: [{name: pay, arguments: {amount: 60}}]}, {text: k}]"
    script_agent(workspace, script, name="eager", tools=["pay"])
    other = run_start(actor=boss(), workspace=workspace, agent="eager", input="go")

    parked(engine, other)
    assert GrantUse.objects.count() == 0
    assert [each["amount"] for each in pay.ran if each["amount"] > MUCH] == []


def test_a_grant_ends_when_its_giver_is_none_of_the_approvers_any_more(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    finance = Group.objects.create(name="finance")
    person(workspace, "gus", "admin")
    User.objects.get(username="gus").groups.add(finance)
    told = {**ASK, "is_grantable": True, "approvers": ["group:finance"]}
    approval = asked(engine, workspace, pay=told)
    grant = given(workspace, approval)
    assert approval.run_id is not None
    engine.until(Run.objects.get(pk=approval.run_id))
    engine.until(paying(workspace))
    grant.refresh_from_db()
    assert (grant.state, grant.uses) == ("active", 1)

    User.objects.get(username="gus").groups.remove(finance)
    parked(engine, paying(workspace))
    grant.refresh_from_db()
    assert (grant.state, grant.uses) == ("changed", 1)
    assert grant.ended_reason == "gus may not decide here any more."
