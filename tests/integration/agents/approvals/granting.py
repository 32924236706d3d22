"""Standing approvals as tests give them: of one payment, to payments alike."""

from datetime import timedelta
from typing import Any

from agents.models import Agent, Run
from core import clock
from governance.contracts import Actor
from governance.models import Approval, Grant, Membership, User, Workspace
from governance.services.approvals import grant_give, grant_revoke
from tests.factories.agents import publish as publish_agent
from tests.integration.agents.approvals.kit import ASK, parked, paying, publish
from tests.integration.agents.execution.kit import Engine

SEVEN = {"arguments": {"amount": {"equals": 7}}}
UP_TO_TEN = {"arguments": {"amount": {"min": 1, "max": 10}}}
GRANTABLE = {**ASK, "is_grantable": True}


def pays(amount: int) -> str:
    return f"steps: [{{tool_calls: [{{name: pay, arguments: {{amount: {amount}}}}}]}}, {{text: k}}]"


def asks(engine: Engine, workspace: Workspace, **answers: Any) -> tuple[Run, Approval]:
    """Let a run ask for a payment of seven under a policy that lets it be granted."""
    publish(workspace, pay={**GRANTABLE, **answers})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    return run, approval


def give(actor: Actor, approval: Approval, pattern: Any = SEVEN, **options: Any) -> Grant:
    return grant_give(actor=actor, approval_id=approval.pk, pattern=pattern, **options)


def revoke(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    grant_revoke(actor=gus, grant_id=grant.pk, reason="Enough.")


def expire(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    Grant.objects.filter(pk=grant.pk).update(expires_at=clock.now() - timedelta(seconds=1))


def publish_again(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    publish(workspace, pay=GRANTABLE)


def forbid(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    user = User.objects.get(username=gus.username)
    Membership.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk).update(is_active=False)


def edit_agent(gus: Actor, grant: Grant, workspace: Workspace) -> None:
    agent = Agent.objects.get(workspace=workspace, name="helper")
    publish_agent(agent, model="m-helper", tools=["pay", "echo"], prompt="Be bold.")
