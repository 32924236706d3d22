"""News of approvals by webhook, letter and Slack, and decisions that come back signed."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from rest_framework.test import APIClient
from standardwebhooks.webhooks import Webhook

from core import clock
from governance.contracts import Actor, ChannelKind
from governance.execution.delivering import RETRY_SECONDS, deliveries_send
from governance.execution.telling import deliveries_missed
from governance.models import Approval, AuditEntry, Channel, Delivery, User, Workspace
from governance.services.channels import channel_create, channel_update
from governance.services.deliveries import channel_test, delivery_redeliver
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    at_once,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine, boss, told
from tests.waiting import wait_for
from tests.wire.smtp_server import SmtpServer

BASE = "/api/v1/workspaces/acme"
SLACK_SECRET = "a signing secret of slack"
LATER = timedelta(days=2)


class Receiver:
    """An HTTP server that keeps what it is sent and answers as told."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def documents(self, secret: str) -> list[dict[str, Any]]:
        return [Webhook(secret).verify(body, headers) for headers, body in self.seen]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    receiver = Receiver()
    settings.FETCH_ALLOW = (receiver.place,)
    yield receiver
    receiver.close()


@pytest.fixture
def admin(workspace: Workspace) -> Actor:
    return person(workspace, "ada", "admin")


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


# --- out ------------------------------------------------------------------------------------------


def test_news_is_posted_once_each_and_signed_and_tells_no_arguments(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver,
) -> None:  # fmt: skip
    secret = webhook(admin, workspace, receiver).secret
    run, approval = asked(engine, workspace)
    assert deliveries_send() == 1
    decide(ann, approval, "deny", reason="Not today.")
    engine.until(run)
    assert deliveries_send() == 1
    assert deliveries_missed() == 0
    assert deliveries_send() == 0

    first, second = receiver.documents(secret)
    assert (first["type"], second["type"]) == ("approval.asked", "approval.decided")
    assert first["data"]["approval"] == str(approval.pk)
    assert first["data"]["binding_digest"] == approval.binding_digest
    assert (second["data"]["by"], second["data"]["reason"]) == ("ann", "Not today.")
    assert "amount" not in json.dumps([first, second])
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_what_is_not_taken_is_sent_again_with_the_same_id_until_it_is_given_up(
    workspace: Workspace, admin: Actor, receiver: Receiver
) -> None:
    made = webhook(admin, workspace, receiver)
    channel_test(admin, channel=made.channel)
    receiver.status = 503
    for attempt, seconds in enumerate(RETRY_SECONDS, start=1):
        before = clock.now()
        assert deliveries_send() == 1
        row = Delivery.objects.get()
        assert (row.state, row.attempts) == ("pending", attempt)
        assert row.due_at >= before + timedelta(seconds=seconds)
        assert deliveries_send() == 0, "not before its time"
        Delivery.objects.update(due_at=clock.now())
    assert deliveries_send() == 1

    row = Delivery.objects.get()
    assert (row.state, row.last_error) == ("failed", "The server answered 503.")
    assert {headers["webhook-id"] for headers, _ in receiver.seen} == {str(row.pk)}
    receiver.status = 204
    delivery_redeliver(admin, delivery=row)
    assert deliveries_send() == 1
    assert Delivery.objects.get().state == "delivered"


def test_two_workers_send_a_message_once_and_a_dead_ones_is_sent_by_another(
    transactional_db: None, workspace: Workspace, admin: Actor, receiver: Receiver
) -> None:
    made = webhook(admin, workspace, receiver)
    channel_test(admin, channel=made.channel)
    assert sorted(at_once([deliveries_send, deliveries_send])) == [0, 1]
    assert len(receiver.seen) == 1

    channel_test(admin, channel=made.channel)
    taken = Delivery.objects.filter(state="pending")
    taken.update(lease_until=clock.now() + timedelta(seconds=60))  # its worker has died
    assert deliveries_send() == 0
    taken.update(lease_until=clock.now())
    assert deliveries_send() == 1


def test_news_that_no_process_told_of_is_found_by_the_sweep(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor,
    receiver: Receiver,
) -> None:  # fmt: skip
    webhook(admin, workspace, receiver)
    run, approval = asked(engine, workspace)
    Delivery.objects.all().delete()
    assert (deliveries_missed(), deliveries_missed()) == (1, 0)
    decide(ann, approval)
    engine.until(run)
    Delivery.objects.filter(event="approval.decided").delete()
    assert (deliveries_missed(), deliveries_missed()) == (1, 0)


def test_a_channel_is_not_told_of_what_was_before_it(
    engine: Engine, workspace: Workspace, pay: PayTool, admin: Actor, receiver: Receiver
) -> None:
    asked(engine, workspace)
    webhook(admin, workspace, receiver)
    assert deliveries_missed() == 0


def test_private_addresses_are_not_posted_to(
    workspace: Workspace, admin: Actor, receiver: Receiver, settings: Any
) -> None:
    made = webhook(admin, workspace, receiver)
    settings.FETCH_ALLOW = ()
    channel_test(admin, channel=made.channel)
    deliveries_send()
    assert "loopback" in Delivery.objects.get().last_error
    assert receiver.seen == []


def test_letters_go_to_those_who_may_decide_and_their_link_decides_nothing(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, admin: Actor, settings: Any
) -> None:
    person(workspace, "vera", "viewer")
    for name in ("ann", "vera", "boss"):
        User.objects.filter(username=name).update(email=f"{name}@example.org")
    with SmtpServer() as server:
        settings.IS_MAIL_CONFIGURED = True
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.PUBLIC_URL = "https://agentry.example"
        channel_create(admin, workspace=workspace, name="mail", kind="email")
        _, approval = asked(engine, workspace, reason="Money <b>leaves</b>.")
        deliveries_send()
        [(recipient, message)] = server.letters
        server.refuses = True
        decide(ann, approval)
        wait_for(
            lambda: Delivery.objects.filter(event="approval.decided").exists(), lambda: "no news"
        )
        deliveries_send()

    assert recipient == "ann@example.org"
    assert message["subject"] == "[acme] Approval needed: helper wants to call pay"
    body = message.get_content()
    assert message.get_content_type() == "text/plain"
    path = f"/admin/governance/approval/{approval.pk}/change/"
    assert f"Decide: https://agentry.example{path}" in body
    assert "amount" not in body
    page = Client().get(path)
    assert (page.status_code, "login" in page["location"]) == (302, True)
    refused = Delivery.objects.get(event="approval.decided")
    assert (refused.state, refused.recipient) == ("pending", "ann@example.org")
    assert "The mail server did not take it" in refused.last_error


def test_without_a_mail_server_the_delivery_says_so(workspace: Workspace, admin: Actor) -> None:
    made = channel_create(
        admin, workspace=workspace, name="mail", kind="email", addresses=["a@example.org"]
    )
    channel_test(admin, channel=made.channel)
    deliveries_send()
    assert "set AGENTRY_EMAIL_URL" in Delivery.objects.get().last_error


# --- in -------------------------------------------------------------------------------------------


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


# --- the channel itself ---------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_kept_sealed(
    workspace: Workspace, admin: Actor, receiver: Receiver
) -> None:
    from tests.integration.agents.approvals.test_surfaces import api

    client = api("ada")
    made = client.post(
        f"{BASE}/channels",
        {"name": "hook", "kind": "webhook", "url": f"http://{receiver.place}/"},
        format="json",
    )
    secret = made.json()["secret"]
    assert (made.status_code, secret.startswith("whsec_")) == (201, True)
    shown = client.get(f"{BASE}/channels/hook").json()
    assert (shown["secret"], shown["has_secret"]) == (None, True)
    kept = json.dumps([*AuditEntry.objects.values("payload")], default=str)
    row = Channel.objects.get()
    assert secret not in kept
    assert secret.encode() not in bytes(row.sealed_secret or b"")
    changed = client.patch(f"{BASE}/channels/hook", {"secret": ""}, format="json").json()
    assert changed["secret"] not in {None, secret}
    tested = client.post(f"{BASE}/channels/hook/test", {}, format="json")
    assert tested.status_code == 202
    [item] = client.get(f"{BASE}/deliveries").json()["items"]
    assert (item["event"], item["state"]) == ("channel.test", "pending")
    assert client.delete(f"{BASE}/channels/hook").status_code == 204


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "webhook"}, "url"),
        ({"kind": "webhook", "url": "ftp://x"}, "url"),
        ({"kind": "webhook", "url": "http://x", "secret": "short"}, "secret"),
        ({"kind": "webhook", "url": "http://x", "acts_as": "nobody"}, "acts_as"),
        ({"kind": "webhook", "url": "http://x", "identities": {"U1": "ada"}}, "identities"),
        ({"kind": "slack", "url": "http://x"}, "secret"),
        ({"kind": "email", "addresses": ["no address"]}, "addresses"),
        ({"kind": "email", "url": "http://x"}, "url"),
        ({"kind": "email", "events": ["run.lost"]}, "events"),
        ({"kind": "pigeon"}, "kind"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(
    workspace: Workspace, admin: Actor, fields: dict[str, Any], field: str
) -> None:
    from core.errors import InvalidInputError

    with pytest.raises(InvalidInputError) as refused:
        channel_create(admin, workspace=workspace, name="hook", **fields)
    assert list(refused.value.fields) == [field]
    assert not Channel.objects.exists()


def test_who_may_decide_through_a_channel_is_in_the_audit_chain(
    workspace: Workspace, admin: Actor, ann: Actor, receiver: Receiver
) -> None:
    slack(admin, workspace, receiver, U1="ann")
    entry = AuditEntry.objects.filter(subject_kind="channel").get()
    assert (entry.action, entry.payload["identities"]) == ("permission_changed", {"U1": "ann"})
    assert ChannelKind(entry.payload["kind"]) is ChannelKind.SLACK
