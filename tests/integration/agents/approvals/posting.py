"""Channels of a workspace, and a server that they post to."""

from typing import Any

from governance.contracts import Actor
from governance.models import Approval, Channel, Delivery, Workspace
from governance.services.channels import channel_create
from tests.integration.agents.approvals.kit import (
    ASK,
    parked,
    paying,
    publish,
)
from tests.integration.agents.execution.kit import Engine
from tests.receiver import Receiver
from tests.waiting import wait_for

BASE = "/api/v1/workspaces/acme"
SLACK_SECRET = "a signing secret of slack"


def webhook(admin: Actor, workspace: Workspace, receiver: Receiver, **fields: Any) -> Any:
    made = channel_create(
        admin,
        workspace=workspace,
        name="hook",
        kind="webhook",
        url=f"http://{receiver.place}/in",
        **fields,
    )
    assert made.secret.startswith("whsec_")
    return made


def slack(admin: Actor, workspace: Workspace, receiver: Receiver, **identities: str) -> Channel:
    return channel_create(
        admin,
        workspace=workspace,
        name="slack",
        kind="slack",
        url=f"http://{receiver.place}/slack",
        secret=SLACK_SECRET,
        identities=identities,
    ).channel


def asked(engine: Engine, workspace: Workspace, **ask: Any) -> tuple[Any, Approval]:
    publish(workspace, pay={**ASK, **ask})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    wait_for(
        lambda: (
            Delivery.objects.filter(event="approval.asked").exists() or not Channel.objects.exists()
        ),
        lambda: "nobody wrote the messages",
    )
    return run, approval
