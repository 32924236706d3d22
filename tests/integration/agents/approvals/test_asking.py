"""What a policy says happens: allowed calls run, denied ones do not, asked ones wait."""

import pytest

from agents.contracts import RunState
from agents.services.runs import run_cancel
from governance.contracts import Actor
from governance.models import Approval, Workspace
from governance.policy.contracts import PolicyDecision, PolicyEngine, PolicyInput
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import (
    ALLOW,
    ASK,
    DENY,
    PayTool,
    approvals_of,
    decide,
    parked,
    paying,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    boss,
    check_invariants,
    kinds,
    ledger,
    told,
)


def test_what_the_policy_allows_runs_though_it_is_privileged(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=ALLOW)
    run = engine.play(paying(workspace))

    assert (run.state, pay.ran) == ("succeeded", [{"amount": 7}])
    call = ToolCall.objects.get(run_id=run.pk)
    assert call.decision is not None
    question = call.decision.pop("question")
    assert call.decision == {
        "is_allowed": True,
        "rule": "fine",
        "reason": "The policy says allow (fine).",
        "version": "test",
    }
    assert question["subject"] == {"user": "boss", "groups": [], "roles": [], "surface": "api"}
    assert "arguments" not in question, "the ledger has them already"
    assert call.attempt == 1
    check_invariants(run.pk)


def test_what_the_policy_denies_does_not_run_and_the_model_is_told_why(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    publish(workspace, pay=DENY)
    run = engine.play(paying(workspace))

    assert (run.state, pay.ran, ledger(run)) == ("succeeded", [], [("pay", "denied")])
    assert "error Not in this house." in told(run)
    check_invariants(run.pk)


def test_reads_are_judged_too(engine: Engine, workspace: Workspace, pay: PayTool) -> None:
    publish(workspace, echo=DENY)
    run = engine.play(
        paying(workspace, "steps: [{tool_calls: [{name: echo, arguments: {text: x}}]}, {text: k}]")
    )

    assert ledger(run) == [("echo", "denied")]


def test_an_asked_call_waits_with_everything_an_approver_needs(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    version = publish(workspace, pay={**ASK, "approvers": ["role:approver"], "quorum": 2})
    run = paying(workspace)
    (approval,) = parked(engine, run)

    call = ToolCall.objects.get(run_id=run.pk)
    assert (call.state, call.wait) == (
        "waiting",
        {
            "kind": "approval",
            "until": None,
            "child_run_id": None,
            "spawn": None,
            "ask": None,
            "approval_id": str(approval.pk),
        },
    )
    assert (approval.kind, approval.subject_id, approval.state) == ("tool_call", call.pk, "pending")
    assert (approval.title, approval.question) == ("helper wants to call pay", ASK["reason"])
    assert (approval.arguments, approval.requester_name) == ({"amount": 7}, "boss")
    assert (approval.approvers, approval.quorum) == (["role:approver"], 2)
    assert approval.binding["policy"] == str(version.pk)
    assert approval.binding["place"] == f"{run.pk} {call.position} 0"
    assert pay.ran == []
    assert kinds(run)[-2:] == ["tool.parked", "run.state"]
    check_invariants(run.pk)


def test_an_approved_call_runs_once_and_the_run_goes_on(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    decided = decide(ann, approval, reason="Fine by me.", surface="cli")
    run = engine.until(run)

    assert (run.state, pay.ran, ledger(run)) == (
        "succeeded",
        [{"amount": 7}],
        [("pay", "committed")],
    )
    assert (decided.state, decided.decided_by_name, decided.surface) == ("approved", "ann", "cli")
    approval.refresh_from_db()
    assert approval.used_at is not None
    assert kinds(run).count("approval.decided") == 1
    assert told(run)[-2:] == ["result Paid 7.", "assistant Done."]
    check_invariants(run.pk)


@pytest.mark.parametrize("reason", ["Too much.", "Too much", " Too much\n"])
def test_a_denied_call_does_not_run_and_the_model_reads_the_reason(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, reason: str
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    decide(ann, approval, "deny", reason=reason)
    run = engine.until(run)

    assert (run.state, pay.ran, ledger(run)) == ("succeeded", [], [("pay", "denied")])
    assert "error ann denied the call. Reason: Too much. Nothing was done." in told(run)
    check_invariants(run.pk)


def test_several_calls_of_one_turn_are_decided_in_any_order(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(
        workspace,
        """
steps:
  - tool_calls:
      - {name: pay, arguments: {amount: 1}}
      - {name: pay, arguments: {amount: 2}}
      - {name: pay, arguments: {amount: 3}}
  - {text: Done.}
""",
    )
    first, second, third = parked(engine, run, 3)
    decide(ann, third)
    engine.until(run, RunState.WAITING, wait_kind="approval", message_count=3)
    assert pay.ran == [{"amount": 3}]
    decide(ann, first, "deny", reason="No.")
    decide(ann, second)
    run = engine.until(run)

    assert sorted(each["amount"] for each in pay.ran) == [2, 3]
    assert ledger(run) == [("pay", "denied"), ("pay", "committed"), ("pay", "committed")]
    check_invariants(run.pk)


class BrokenEngine:
    digest = "broken"

    def __init__(self, source: str, language: str) -> None:
        pass

    def decide(self, question: PolicyInput) -> PolicyDecision:
        raise RuntimeError("no answer")


def unbuildable(source: str, language: str) -> PolicyEngine:
    raise ValueError("not a policy")


@pytest.mark.parametrize("broken", [BrokenEngine, unbuildable])
def test_a_policy_that_breaks_denies_and_says_so(
    engine: Engine,
    workspace: Workspace,
    pay: PayTool,
    monkeypatch: pytest.MonkeyPatch,
    broken: object,
) -> None:
    monkeypatch.setattr("governance.services.policies.policy_engine", broken)
    publish(workspace, pay=ALLOW)
    run = engine.play(paying(workspace))

    assert (run.state, pay.ran) == ("succeeded", [])
    call = ToolCall.objects.get(run_id=run.pk)
    assert call.decision is not None
    assert (call.state, call.decision["is_abnormal"]) == ("denied", True)
    assert "policy could not decide" in call.reason


def test_a_policy_published_while_a_run_waits_binds_its_next_calls(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(
        workspace,
        """
steps:
  - tool_calls: [{name: pay, arguments: {amount: 1}}]
  - tool_calls: [{name: pay, arguments: {amount: 2}}]
  - {text: Done.}
""",
    )
    (approval,) = parked(engine, run)
    decide(ann, approval, "deny")
    engine.until(run, RunState.WAITING, wait_kind="approval", iteration=2)
    publish(workspace, pay=ALLOW)
    (second,) = approvals_of(run, state="pending")
    decide(ann, second)
    run = engine.until(run)

    assert pay.ran == []
    assert "Changed since: policy." in told(run)[-2]
    check_invariants(run.pk)


def test_a_run_that_is_cancelled_withdraws_what_it_asked(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    run_cancel(actor=boss(), run_id=run.pk)

    assert Approval.objects.get(pk=approval.pk).state == "withdrawn"
    assert ledger(run) == [("pay", "cancelled")]
    with pytest.raises(Exception, match="withdrawn"):
        decide(ann, approval)
    assert pay.ran == []
    run.refresh_from_db()
    check_invariants(run.pk)
