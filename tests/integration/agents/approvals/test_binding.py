"""What was approved is what runs: whatever changes between the yes and the claim is a refusal that
names it, and nothing happens."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agents.models import Run, RunSnapshot
from agents.services.runs import run_fork, run_replay
from core import clock
from governance.contracts import Actor
from governance.models import Approval, User, Workspace
from plugins.dispatch import arguments_digest
from plugins.models import ToolCall, ToolDefinition
from tests.integration.agents.approvals.kit import (
    ALLOW,
    Counter,
    approvals_of,
    decide,
    parked,
    publish,
)
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    ledger,
    told,
)


def approved(engine: Engine, workspace: Workspace, ann: Actor) -> tuple[Run, Approval]:
    """A run whose call is approved and that no worker has taken up again."""
    run = begin(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    decide(ann, approval)
    return run, approval


def change_arguments(run: Run, approval: Approval) -> None:
    ToolCall.objects.filter(run_id=run.pk).update(
        arguments={"amount": 70}, arguments_digest=arguments_digest({"amount": 70})
    )


def change_schema(run: Run, approval: Approval) -> None:
    ToolDefinition.objects.update(input_schema={"type": "object", "maxProperties": 3})


def change_tool(run: Run, approval: Approval) -> None:
    ToolDefinition.objects.update(url="https://elsewhere.example/")


def switch_tool_off(run: Run, approval: Approval) -> None:
    ToolDefinition.objects.update(is_enabled=False)


def change_policy(run: Run, approval: Approval) -> None:
    publish(run.workspace, orders=ALLOW)


def change_requester(run: Run, approval: Approval) -> None:
    Run.objects.filter(pk=run.pk).update(requested_by=None)


def switch_requester_off(run: Run, approval: Approval) -> None:
    User.objects.filter(username="boss").update(is_active=False)


def change_agent(run: Run, approval: Approval) -> None:
    content = {**run.snapshot.content, "prompt": "Be bold."}
    other = RunSnapshot.objects.create(
        digest="b" * 64, workspace_id=run.workspace_id, content=content
    )
    Run.objects.filter(pk=run.pk).update(snapshot=other)


def change_credential(run: Run, approval: Approval) -> None:
    _bind(approval, credential="another")


def change_sandbox(run: Run, approval: Approval) -> None:
    _bind(approval, sandbox_profile="another")


def _bind(approval: Approval, **facts: str) -> None:
    binding = {**approval.binding, **facts}
    Approval.objects.filter(pk=approval.pk).update(binding=binding)


def change_digest(run: Run, approval: Approval) -> None:
    Approval.objects.filter(pk=approval.pk).update(binding_digest="f" * 64)


CHANGES: dict[str, tuple[Callable[[Run, Approval], None], str]] = {
    "arguments": (change_arguments, "arguments"),
    "schema": (change_schema, "schema"),
    "tool": (change_tool, "tool version"),
    "tool switched off": (switch_tool_off, "tool version"),
    "policy": (change_policy, "policy"),
    "requester": (change_requester, "requester"),
    "requester switched off": (switch_requester_off, "requester"),
    "agent": (change_agent, "agent version"),
    "credential": (change_credential, "credential"),
    "sandbox profile": (change_sandbox, "sandbox profile"),
    "digest": (change_digest, "approval"),
}


def test_unchanged_it_runs(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter
) -> None:
    run, _ = approved(engine, workspace, ann)
    run = engine.play(run)

    assert orders.ran == [{"amount": 7}]
    check_invariants(run.pk)


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_change_after_the_yes_is_refused_by_name(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter, what: str
) -> None:
    change, name = CHANGES[what]
    run, approval = approved(engine, workspace, ann)
    change(run, approval)
    run = engine.play(run)

    assert orders.ran == []
    assert ledger(run) == [("orders", "denied")]
    assert f"Changed since: {name}. Nothing was done" in told(run)[-2]
    assert run.state == "succeeded"
    approval.refresh_from_db()
    assert (approval.state, approval.used_at) == ("approved", None)
    check_invariants(run.pk)


def test_a_yes_that_comes_to_its_end_unused_is_expired(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter
) -> None:
    run, _ = approved(engine, workspace, ann)
    with clock.shifted(timedelta(days=2)):
        run = engine.play(run)

    assert orders.ran == []
    assert ledger(run) == [("orders", "expired")]
    assert "Changed since: expiry." in told(run)[-2]
    check_invariants(run.pk)


def test_an_approval_that_is_no_approval_any_more_allows_nothing(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter
) -> None:
    run, approval = approved(engine, workspace, ann)
    Approval.objects.filter(pk=approval.pk).delete()
    run = engine.play(run)

    assert orders.ran == []
    assert ledger(run) == [("orders", "denied")]
    check_invariants(run.pk)


def test_edited_arguments_are_what_runs_and_the_model_is_told(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter
) -> None:
    run = begin(workspace)
    (approval,) = parked(engine, run)
    decided = decide(ann, approval, arguments={"amount": 5}, reason="Less will do.")
    run = engine.until(run)

    assert orders.ran == [{"amount": 5}]
    assert (decided.arguments, decided.edited_arguments) == ({"amount": 7}, {"amount": 5})
    assert decided.binding_digest != approval.binding_digest
    assert told(run)[-2] == (
        'result Before approving the call, ann changed its arguments to {"amount":5}.'
        " Reason: Less will do.\n\nordered"
    )
    check_invariants(run.pk)
    replay = engine.play(run_replay(actor=boss(), run_id=run.pk))
    assert told(replay) == told(run)
    assert orders.ran == [{"amount": 5}]


@pytest.mark.parametrize("arguments", [{"amount": "much"}, {"other": 1}, {"amount": 1_000}])
def test_arguments_that_do_not_fit_the_schema_decide_nothing(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter, arguments: dict[str, Any]
) -> None:
    properties = {"amount": {"type": "integer", "maximum": 100}}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    ToolDefinition.objects.update(input_schema=schema)
    run = begin(workspace)
    (approval,) = parked(engine, run)
    with pytest.raises(Exception, match="do not fit the schema") as refused:
        decide(ann, approval, arguments=arguments)

    assert getattr(refused.value, "fields", {}).keys() == {"arguments"}
    approval.refresh_from_db()
    assert (approval.state, approval.edited_arguments) == ("pending", None)
    assert orders.ran == []


def test_a_fork_asks_again(
    engine: Engine, workspace: Workspace, ann: Actor, orders: Counter
) -> None:
    origin, _ = approved(engine, workspace, ann)
    fork = run_fork(actor=boss(), run_id=origin.pk)
    (asked,) = parked(engine, fork)
    engine.until(origin)

    assert orders.ran == [{"amount": 7}]
    assert asked.binding["place"] != approvals_of(origin)[0].binding["place"]
    decide(ann, asked, "deny")
    engine.until(fork)
    assert orders.ran == [{"amount": 7}]
