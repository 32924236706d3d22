"""A real policy, written as a permission matrix and published, judges the calls of real runs."""

import pytest

from governance.contracts import SYSTEM, Actor
from governance.errors import PolicyInvalidError
from governance.models import Policy, PolicyVersion, Workspace
from governance.services.policies import policy_engine, policy_publish, policy_put
from governance.services.policy_engines import policy_check
from plugins.models import ToolCall
from tests.integration.agents.approvals.kit import PayTool, decide, parked, paying
from tests.integration.agents.execution.kit import Engine, check_invariants, ledger

REAL = policy_engine
SOURCE = """
version: 1
rules:
  - name: much money
    tools: [pay]
    arguments:
      amount: {equals: 7}
    effect: ask
    approvers: ["user:ann"]
    quorum: 1
    expires: 8h
    reason: Seven is a lot.
  - name: money
    tools: [pay]
    arguments:
      amount: {equals: [1, 2]}
    effect: allow
"""


@pytest.fixture(autouse=True)
def _matrix(_told: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.services.policies.policy_engine", REAL)
    monkeypatch.setattr("governance.services.policies.policy_check", policy_check)


def test_a_published_matrix_asks_and_allows(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    policy_put(SYSTEM, workspace=workspace, source=SOURCE)
    version = policy_publish(SYSTEM, workspace=workspace)
    run = paying(workspace)
    (approval,) = parked(engine, run)

    assert (approval.rule, approval.question) == ("much money", "Seven is a lot.")
    assert (approval.approvers, approval.binding["policy"]) == (["user:ann"], str(version.pk))
    with pytest.raises(Exception, match="The policy denies these arguments"):
        decide(ann, approval, arguments={"amount": 50})
    decide(ann, approval, arguments={"amount": 2})
    engine.until(run)
    assert pay.ran == [{"amount": 2}]
    assert ledger(run) == [("pay", "committed")]
    decision = ToolCall.objects.get(run_id=run.pk).decision
    assert decision is not None
    assert decision["version"] == approval.policy_version == policy_engine(SOURCE).digest
    check_invariants(run.pk)


def test_what_is_no_policy_is_neither_kept_nor_published(workspace: Workspace) -> None:
    with pytest.raises(PolicyInvalidError, match="does not say which calls"):
        policy_put(SYSTEM, workspace=workspace, source="rules: [{tool: [pay], effect: allow}]")

    assert not Policy.objects.exists()
    assert not PolicyVersion.objects.exists()
