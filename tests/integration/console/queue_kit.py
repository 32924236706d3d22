"""Questions in the queue, each about a call that waits in a run of its own; nothing drives them."""

from datetime import timedelta
from typing import Any

from django.test import Client

from agents.models import Run
from core import clock
from governance.models import Approval, Workspace
from plugins.contracts import CallState
from plugins.models import ToolCall
from tests.factories.agents import make_approval, make_call, make_run

PLACE = "/admin/approvals/"


def asked(workspace: Workspace, *, minutes: int | None = 60, **fields: Any) -> Approval:
    """Ask about one call; `minutes` until its time is over, None: never."""
    run = make_run(workspace)
    call = make_call(run, state=CallState.WAITING)
    expires_at = None if minutes is None else clock.now() + timedelta(minutes=minutes)
    known: dict[str, Any] = {
        "tool": call.tool,
        "effect": "keyed",
        "rule": "money",
        "expires_at": expires_at,
        "expires_seconds": None if minutes is None else minutes * 60.0,
        "requester_name": "root",
    }
    approval = make_approval(run, call, **{**known, **fields})
    ToolCall.objects.filter(pk=call.pk).update(wait={"approval_id": str(approval.pk)})
    Run.objects.filter(pk=run.pk).update(state="waiting", wait_kind="approval")
    return approval


def listed(client: Client, query: str = "") -> list[str]:
    """The ids of the list, in its order."""
    response = client.get(f"{PLACE}list/{query}")
    assert response.status_code == 200
    return [str(row.id) for row in response.context["listing"].rows]


def say(client: Client, approval: Approval, **fields: str) -> dict[str, Any]:
    """Answer as the page does, with the binding that is shown."""
    body = {"seen": approval.binding_digest, "verdict": "approve", **fields}
    answer = client.post(f"{PLACE}{approval.pk}/decide/", body)
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def states(*approvals: Approval) -> list[str]:
    found = dict(Approval.objects.values_list("pk", "state"))
    return [found[approval.pk] for approval in approvals]
