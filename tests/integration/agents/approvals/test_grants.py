"""Standing approvals: calls alike run unasked, as often as was said, and only as they were."""

from typing import Any

import pytest

from agents.execution.sweep import sweep
from agents.services.runs import run_start
from core.errors import StaleStateError
from governance.contracts import Actor
from governance.models import Approval, AuditEntry, GrantUse, Workspace
from governance.services.approvals import grant_revoke
from plugins.models import ToolCall
from tests.integration.agents.approvals.granting import (
    UP_TO_TEN,
    asks,
    edit_agent,
    expire,
    forbid,
    give,
    pays,
    publish_again,
    revoke,
)
from tests.integration.agents.approvals.kit import (
    DENY,
    PayTool,
    install,
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


@pytest.mark.parametrize(
    ("end", "state", "reason"),
    [
        (revoke, "revoked", "Enough."),
        (expire, "expired", "Its time is over."),
        (publish_again, "changed", "Changed since: policy."),
        (forbid, "changed", "gus may not decide here any more."),
        (edit_agent, "changed", "Changed since: agent version."),
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
