"""News of approvals by webhook, letter and Slack, and the channels that carry it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from core import clock
from governance.contracts import Actor, ChannelKind
from governance.execution.delivering import RETRY_SECONDS, deliveries_send
from governance.execution.telling import deliveries_missed
from governance.models import AuditEntry, Channel, Delivery, User, Workspace
from governance.services.channels import channel_create
from governance.services.deliveries import channel_test, delivery_redeliver
from tests.integration.agents.approvals.kit import (
    PayTool,
    at_once,
    decide,
    person,
)
from tests.integration.agents.approvals.posting import (
    BASE,
    asked,
    slack,
    webhook,
)
from tests.integration.agents.execution.kit import Engine
from tests.receiver import Receiver
from tests.waiting import wait_for
from tests.wire.smtp_server import SmtpServer


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
    assert second["data"]["by"] == "ann"
    told = json.dumps([first, second])
    assert ("amount" in told, "Not today." in told) == (False, False)
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
