"""Decisions that come back through a channel: signed, fresh, and no more than an account's own."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from rest_framework.test import APIClient
from standardwebhooks.webhooks import Webhook

from core import clock
from governance.contracts import Actor
from governance.execution.delivering import deliveries_send
from governance.models import Approval, User, Workspace
from governance.services.channels import channel_update
from tests.integration.agents.approvals.kit import (
    PayTool,
    person,
)
from tests.integration.agents.approvals.posting import (
    BASE,
    SLACK_SECRET,
    asked,
    slack,
    webhook,
)
from tests.integration.agents.execution.kit import Engine, boss, told
from tests.receiver import Receiver


def post_signed(secret: str, document: dict[str, Any], *, age_seconds: int = 0) -> Any:
    body = json.dumps(document).encode()
    at = clock.now() - timedelta(seconds=age_seconds)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("m1", at, body.decode()),
    }
    return APIClient().post(
        f"{BASE}/channels/hook/decisions", body, content_type="application/json", headers=headers
    )


def answer_to(approval: Approval, verdict: str = "approve", **more: Any) -> dict[str, Any]:
    return {
        "approval": str(approval.pk),
        "binding_digest": approval.binding_digest,
        "verdict": verdict,
        **more,
    }


def test_a_signed_decision_wakes_the_run_and_a_second_one_names_the_winner(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver,
) -> None:  # fmt: skip
    secret = webhook(admin, workspace, receiver, acts_as="ann").secret
    run, approval = asked(engine, workspace)
    done = post_signed(secret, answer_to(approval, "deny", reason="Ticket closed."))
    assert (done.status_code, done.json()["state"]) == (200, "denied")
    engine.until(run)
    assert pay.ran == []
    assert "Ticket closed." in " ".join(told(run))
    row = Approval.objects.get(pk=approval.pk)
    assert (row.surface, row.decided_by_name) == ("webhook", "ann")
    again = post_signed(secret, answer_to(approval))
    assert (again.status_code, "ann" in again.content.decode()) == (409, True)


@pytest.mark.parametrize("case", ["forged", "old", "unsigned", "other channel"])
def test_what_is_not_signed_by_the_channel_decides_nothing(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver, case: str,
) -> None:  # fmt: skip
    secret = webhook(admin, workspace, receiver, acts_as="ann").secret
    _, approval = asked(engine, workspace)
    forged = "whsec_" + base64.b64encode(b"x" * 32).decode()
    if case == "unsigned":
        answer = APIClient().post(
            f"{BASE}/channels/hook/decisions", answer_to(approval), format="json"
        )
    elif case == "other channel":
        slack(admin, workspace, receiver)
        answer = APIClient().post(f"{BASE}/channels/slack/decisions", {}, format="json")
    else:
        key, age = (forged, 0) if case == "forged" else (secret, 400)
        answer = post_signed(key, answer_to(approval), age_seconds=age)
    assert answer.status_code == 401
    assert Approval.objects.get(pk=approval.pk).state == "pending"


def test_a_webhook_is_no_more_than_the_account_it_acts_as(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver,
) -> None:  # fmt: skip
    made = webhook(admin, workspace, receiver)
    secret = made.secret
    _, approval = asked(engine, workspace)
    assert post_signed(secret, answer_to(approval)).status_code == 403  # nobody's decisions
    requester = person(workspace, boss().username).username
    person(workspace, "vera", "viewer")
    for name in (requester, "vera"):
        channel_update(admin, channel=made.channel, acts_as=name)
        assert post_signed(secret, answer_to(approval)).status_code == 403
    channel_update(admin, channel=made.channel, acts_as="ann")
    stale = post_signed(secret, {**answer_to(approval), "binding_digest": "0" * 64})
    assert (stale.status_code, "changed since" in stale.content.decode()) == (409, True)
    User.objects.filter(username="ann").update(is_active=False)
    assert post_signed(secret, answer_to(approval)).status_code == 403
    assert Approval.objects.get(pk=approval.pk).state == "pending"
    assert post_signed(secret, {"verdict": "approve"}).status_code in {400, 403}


def press(
    approval: Approval, verdict: str, member: str, *, secret: str = SLACK_SECRET, digest: str = ""
) -> Any:
    payload = {
        "type": "block_actions",
        "user": {"id": member},
        "actions": [
            {"action_id": verdict, "value": f"{approval.pk} {digest or approval.binding_digest}"}
        ],
    }
    body = urlencode({"payload": json.dumps(payload)})
    sent_at = str(int(clock.now().timestamp()))
    signed = hmac.new(secret.encode(), f"v0:{sent_at}:{body}".encode(), hashlib.sha256)
    return APIClient().post(
        f"{BASE}/channels/slack/slack",
        body,
        content_type="application/x-www-form-urlencoded",
        headers={
            "x-slack-request-timestamp": sent_at,
            "x-slack-signature": f"v0={signed.hexdigest()}",
        },
    )


def test_a_button_in_slack_decides_for_the_account_joined_to_who_pressed_it(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver,
) -> None:  # fmt: skip
    slack(admin, workspace, receiver, U1="ann")
    run, approval = asked(engine, workspace)
    deliveries_send()
    message = json.loads(receiver.seen[0][1])
    buttons = message["blocks"][1]["elements"]
    assert [button["action_id"] for button in buttons] == ["approve", "deny"]
    assert buttons[0]["value"] == f"{approval.pk} {approval.binding_digest}"

    assert press(approval, "approve", "U2").status_code == 403
    assert press(approval, "approve", "U1", secret="another").status_code == 401
    stale = press(approval, "approve", "U1", digest="0" * 64).json()
    assert ("changed since" in stale["text"], stale["response_type"]) == (True, "ephemeral")
    assert Approval.objects.get(pk=approval.pk).state == "pending"

    done = press(approval, "approve", "U1").json()
    assert done == {
        "text": "helper wants to call pay: approved by ann.",
        "replace_original": True,
    }
    engine.until(run)
    assert pay.ran == [{"amount": 7}]
    assert Approval.objects.get(pk=approval.pk).surface == "slack"
    late = press(approval, "deny", "U1").json()
    assert ("ann" in late["text"], late["response_type"]) == (True, "ephemeral")
