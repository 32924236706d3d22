"""A permission matrix in force: written, published, judged, decided, run, and in the chain."""

from typing import Any

import pytest

from core.errors import InvalidInputError
from governance.contracts import Actor
from governance.models import AuditEntry, Workspace
from governance.services.policies import policy_publish, policy_put
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import PayTool, decide, parked, paying
from tests.integration.agents.execution.kit import Engine, boss, check_invariants, ledger, told

MATRIX = """
rules:
  - name: small sums
    tools: [pay]
    arguments: {amount: {max: 5}}
    effect: allow
  - name: payments
    tools: [pay]
    arguments: {amount: {min: 6}}
    effect: ask
    approvers: ["role:approver"]
    reason: Money leaves the house.
  - name: no echo
    tools: [echo]
    effect: deny
    reason: Nobody repeats here.
"""


@pytest.fixture
def _told() -> None:
    """Here the language of policies is the real one."""


def in_force(workspace: Workspace, source: str = MATRIX) -> None:
    policy_put(boss(), workspace=workspace, source=source)
    policy_publish(boss(), workspace=workspace)


def test_a_call_is_asked_about_approved_and_run_and_the_chain_tells_all_of_it(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    in_force(workspace)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    assert (approval.rule, approval.question, pay.ran) == (
        "payments",
        "Money leaves the house.",
        [],
    )

    decide(ann, approval, reason="agreed")
    engine.until(run)

    assert (run.state, pay.ran) == ("succeeded", [{"amount": 7}])
    check_invariants(run.pk)
    chain = AuditEntry.objects.filter(workspace=workspace).order_by("sequence")
    told_of = [
        (entry.action, entry.actor_name)
        for entry in chain
        if entry.action in {"policy_published", "decision", "effect"}
    ]
    assert told_of == [("policy_published", "boss"), ("decision", "ann"), ("effect", "system")]
    decision = chain.get(action="decision")
    assert decision.payload["binding_digest"] == approval.binding_digest
    assert decision.payload["verdict"] == "approved"


def test_arguments_decide_and_a_no_is_the_models_to_read(
    engine: Engine, workspace: Workspace, pay: PayTool
) -> None:
    in_force(workspace)
    script = (
        "steps: [{tool_calls: [{name: pay, arguments: {amount: 5}},"
        " {name: echo, arguments: {text: x}}]}, {text: Done.}]"
    )
    run = engine.play(paying(workspace, script))

    assert (run.state, pay.ran) == ("succeeded", [{"amount": 5}])
    assert sorted(ledger(run)) == [("echo", "denied"), ("pay", "committed")]
    assert "error Nobody repeats here." in told(run)
    decided = ToolCall.objects.get(run_id=run.pk, tool="pay").decision
    assert decided is not None
    assert decided["rule"] == "small sums"


def test_a_matrix_with_mistakes_is_refused_with_all_of_them_and_nothing_changes(
    workspace: Workspace,
) -> None:
    in_force(workspace)
    with pytest.raises(InvalidInputError) as raised:
        in_force(workspace, "rules:\n  - {name: a, tools: [pay], effect: maybe}\n  - {nmae: b}\n")

    mistakes: Any = raised.value.detail["mistakes"]
    assert [place["line"] for place in mistakes][:2] == [2, 3]


REGO = """package agentry.tool

import rego.v1

default decision := {"effect": "deny", "rule": "default", "reason": "Nothing said yes."}

decision := {"effect": "allow", "rule": "small"} if {
	input.tool.name == "pay"
	input.arguments.amount < 6
}

decision := {"effect": "ask", "rule": "large", "approvers": ["role:approver"]} if {
	input.tool.name == "pay"
	input.arguments.amount >= 6
}
"""


def test_rego_decides_about_real_runs(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, settings: Any
) -> None:
    settings.POLICY_SECONDS = 4.0
    policy_put(boss(), workspace=workspace, source=REGO, language="rego")
    policy_publish(boss(), workspace=workspace)
    run = paying(
        workspace,
        "steps: [{tool_calls: [{name: pay, arguments: {amount: 5}},"
        " {name: echo, arguments: {text: x}}, {name: pay, arguments: {amount: 7}}]},"
        " {text: Done.}]",
    )
    (approval,) = parked(engine, run)
    assert (approval.rule, approval.approvers) == ("large", ["role:approver"])
    decide(ann, approval)
    engine.until(run)

    assert sorted(each["amount"] for each in pay.ran) == [5, 7]
    assert ledger(run) == [("pay", "committed"), ("echo", "denied"), ("pay", "committed")]
    assert "error Nothing said yes." in told(run)
    check_invariants(run.pk)
