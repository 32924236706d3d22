"""Policies with a draft, and calls that were judged before."""

from typing import Any

from django.urls import reverse

from core import clock
from core.ids import new_id
from governance.models import Policy, Workspace
from governance.services.policies import policy_put
from plugins.contracts import CallState, EffectClass
from plugins.dispatch import arguments_digest
from plugins.models import ToolCall
from tests.factories.agents import make_run
from tests.factories.governance import Cast

ALLOW = "version: 1\nrules:\n  - {name: fine, tools: ['*'], effect: allow}\n"
DENY = "version: 1\nrules:\n  - {name: never, tools: [pay], effect: deny, reason: Not here.}\n"
CASES = """
cases:
  - name: paying is free
    input: {tool: {name: pay}}
    expect: allow
"""


def drafted(cast: Cast, source: str = DENY, cases: str = "") -> Policy:
    return policy_put(cast.actor("admin"), workspace=cast.acme, source=source, cases=cases)


def address(policy: Policy, name: str = "change") -> str:
    return reverse(f"admin:governance_policy_{name}", args=[policy.pk])


def called(workspace: Workspace, tool: str = "pay", **fields: Any) -> ToolCall:
    """Write down a call that a policy was asked about."""
    run = make_run(workspace)
    given: dict[str, Any] = {"arguments": {"amount": 7}, "sandbox": "none"} | fields
    question = {
        "subject": {"user": "ada"},
        "workspace": workspace.name,
        "agent": {"name": "buyer", "version": "1"},
        "tool": {"name": tool, "effect": "irreversible", "sandbox": given["sandbox"]},
        "hosts": [],
    }
    return ToolCall.objects.create(
        id=new_id(), workspace_id=workspace.pk, run_id=run.pk, position=1, index=0,
        provider_call_id="call_1", tool=tool, effect=EffectClass.IRREVERSIBLE.value,
        state=CallState.COMMITTED.value, arguments=given["arguments"],
        arguments_digest=arguments_digest(given["arguments"]), planned_at=clock.now(),
        decision={"is_allowed": True, "rule": "fine", "question": question},
    )  # fmt: skip
