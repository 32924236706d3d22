"""Pages of channels: made by kind, tried, changed, deleted, and what was sent through them."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import clock
from governance.models import Channel, Delivery, User
from governance.selectors.channels import channel_secret
from governance.services.channels import channel_create
from governance.services.deliveries import channel_test
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

ADD = "/admin/governance/channel/add/"
EVENTS = ["approval.asked", "approval.decided"]


def webhook(cast: Cast, **fields: Any) -> Channel:
    given = {"url": "https://hooks.example/in", **fields}
    return channel_create(
        cast.actor("admin"), workspace=cast.acme, name="ops", kind="webhook", **given
    ).channel


def address(row: Channel | Delivery, name: str = "change") -> str:
    return reverse(f"admin:governance_{row._meta.model_name}_{name}", args=[row.pk])


def body(cast: Cast, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "workspace": str(cast.acme.pk), "name": "ops", "kind": kind, "is_enabled": "on",
        "events": EVENTS, **fields,
    }  # fmt: skip


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["adminform"].form.errors.items()}


def settled(delivery: Delivery, state: str, problem: str = "") -> Delivery:
    Delivery.objects.filter(pk=delivery.pk).update(
        state=state, last_error=problem, settled_at=clock.now()
    )
    delivery.refresh_from_db()
    return delivery


def said(client: Client, url: str) -> list[str]:
    return [str(message) for message in client.get(url).context["messages"]]


# --- making one -----------------------------------------------------------------------------------


def test_the_kind_is_chosen_first_and_says_what_else_is_asked(cast: Cast, browse: Browser) -> None:
    admin = browse("admin")

    chooser = admin.get(ADD).content.decode()
    assert [f"?kind={kind}" in chooser for kind in ("webhook", "slack", "email")] == [True] * 3
    assert "?kind=" in admin.get(ADD, {"kind": "pigeon"}).content.decode()

    asked = {
        kind: set(admin.get(ADD, {"kind": kind}).context["adminform"].form.fields)
        - {"workspace", "name", "kind", "is_enabled", "events"}
        for kind in ("webhook", "slack", "email")
    }
    assert asked == {
        "webhook": {"url", "acts_as", "secret"},
        "slack": {"url", "secret", "identities"},
        "email": {"addresses"},
    }


def test_a_webhook_is_made_and_its_secret_is_shown_once(cast: Cast, browse: Browser) -> None:
    admin = browse("admin")
    operator = str(cast.users["operator"].pk)

    made = admin.post(
        ADD, body(cast, "webhook", url="https://hooks.example/in", acts_as=operator, secret="")
    )

    channel = Channel.objects.get()
    secret = channel_secret(channel)
    assert made.status_code == 200
    assert "no-store" in made["Cache-Control"]
    assert secret.startswith("whsec_")
    assert secret in made.content.decode()
    assert (channel.url, channel.events) == ("https://hooks.example/in", EVENTS)
    assert channel.acts_as == cast.users["operator"]
    for url in (address(channel), address(channel, "history"), "/admin/governance/channel/"):
        assert secret not in admin.get(url).content.decode()


def test_a_slack_channel_has_the_secret_of_its_app_and_says_who_is_who(
    cast: Cast, browse: Browser
) -> None:
    admin = browse("admin")
    given = body(cast, "slack", url="https://hooks.slack.com/x", identities="U1 approver\n")

    refused = admin.post(ADD, {**given, "secret": ""})
    assert errors(refused) == {"secret": ["This field is required."]}
    wrong = admin.post(ADD, {**given, "secret": "s3", "identities": "U1 nobody"})
    assert errors(wrong) == {"identities": ["'nobody' is no member of this workspace."]}
    broken = admin.post(ADD, {**given, "secret": "s3", "identities": "U1 approver\nU1 admin"})
    assert errors(broken) == {"identities": ["Line 2 names U1 a second time."]}
    assert Channel.objects.count() == 0

    made = admin.post(ADD, {**given, "secret": "s3"})
    channel = Channel.objects.get()
    assert made["Location"] == address(channel)
    assert channel_secret(channel) == "s3"
    people = {each.external_id: each.user.username for each in channel.identities.all()}
    assert people == {"U1": "approver"}


def test_a_channel_for_letters_has_addresses(cast: Cast, browse: Browser) -> None:
    admin = browse("admin")

    wrong = admin.post(ADD, body(cast, "email", addresses="a@acme.example\nnot an address"))
    assert errors(wrong) == {"addresses": ["'not an address' is no address."]}
    admin.post(ADD, body(cast, "email", addresses="a@acme.example\n\n b@acme.example "))

    channel = Channel.objects.get()
    assert (channel.kind, channel.addresses) == ("email", ["a@acme.example", "b@acme.example"])


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": "Not a name"}, "name"),
        ({"url": "ftp://elsewhere"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"secret": "short"}, "secret"),
    ],
)
def test_mistakes_stand_by_their_field_and_nothing_is_made(
    cast: Cast, browse: Browser, change: dict[str, Any], place: str
) -> None:
    given = body(cast, "webhook", url="https://hooks.example/in") | change

    assert set(errors(browse("admin").post(ADD, given))) == {place}
    assert Channel.objects.count() == 0


# --- changing and deleting ------------------------------------------------------------------------


def test_a_channel_is_changed_and_keeps_its_secret_until_a_new_one_is_made(
    cast: Cast, browse: Browser
) -> None:
    channel = webhook(cast)
    secret = channel_secret(channel)
    admin = browse("admin")
    given = {"kind": "webhook", "url": "https://hooks.example/new", "events": EVENTS[:1],
             "acts_as": "", "secret": ""}  # fmt: skip

    assert admin.post(address(channel), given).status_code == 302
    channel.refresh_from_db()
    assert (channel.url, channel.events, channel.is_enabled) == (
        "https://hooks.example/new", ["approval.asked"], False,
    )  # fmt: skip
    assert channel_secret(channel) == secret

    renewed = admin.post(address(channel), {**given, "make_secret": "on"})
    channel.refresh_from_db()
    assert channel_secret(channel) not in {"", secret}
    assert channel_secret(channel) in renewed.content.decode()


def test_identities_are_shown_and_replaced(cast: Cast, browse: Browser) -> None:
    admin = browse("admin")
    channel = channel_create(
        cast.actor("admin"), workspace=cast.acme, name="talk", kind="slack",
        url="https://hooks.slack.com/x", secret="s3", identities={"U1": "approver"},
    ).channel  # fmt: skip

    form = admin.get(address(channel)).context["adminform"].form
    assert form["identities"].value() == "U1 approver"
    given = {"kind": "slack", "url": channel.url, "events": EVENTS, "is_enabled": "on"}
    admin.post(address(channel), {**given, "identities": "U2 admin"})

    people = {each.external_id: each.user.username for each in channel.identities.all()}
    assert people == {"U2": "admin"}
    assert "U2" in browse("viewer").get(address(channel)).content.decode()


def test_deleting_asks_first_and_says_what_is_not_sent_any_more(
    cast: Cast, browse: Browser
) -> None:
    channel = webhook(cast)
    channel_test(cast.actor("admin"), channel=channel)
    admin = browse("admin")

    asked = admin.get(address(channel, "delete")).content.decode()
    assert "1 message that is still to be sent, and will not be" in asked
    assert Channel.objects.exists()
    admin.post(address(channel, "delete"), {"post": "yes"})
    assert (Channel.objects.count(), Delivery.objects.count()) == (0, 0)


@pytest.mark.parametrize("name", ["viewer", "operator", "outsider"])
def test_who_may_not_edit_channels_changes_nothing(cast: Cast, browse: Browser, name: str) -> None:
    channel = webhook(cast)
    delivery = settled(channel_test(cast.actor("admin"), channel=channel), "failed")
    client = browse(name)
    before = Channel.objects.values().get()

    refused = client.post(ADD, body(cast, "webhook", url="https://mine.example", name="mine"))
    assert refused.status_code == 403 or "workspace" in errors(refused)
    for url, given in (
        (address(channel), {"kind": "webhook", "url": "https://mine.example", "events": EVENTS}),
        (address(channel, "test"), {}),
        (address(channel, "delete"), {"post": "yes"}),
        (address(delivery, "redeliver"), {}),
    ):
        assert client.post(url, given).status_code in {302, 403}

    delivery.refresh_from_db()
    assert (Delivery.objects.count(), delivery.state) == (1, "failed")
    assert Channel.objects.values().get() == before


def test_a_viewer_reads_a_channel_and_is_told_what_changing_takes(
    cast: Cast, browse: Browser
) -> None:
    channel = webhook(cast)

    shown = browse("viewer").get(address(channel)).content.decode()

    assert "https://hooks.example/in" in shown
    assert "<code>channel.edit</code>" in shown
    assert "Send a test message</span>" not in shown
    assert 'type="password"' not in shown


# --- what is sent ---------------------------------------------------------------------------------


def test_a_test_message_is_sent_and_followed(cast: Cast, browse: Browser) -> None:
    channel = webhook(cast)
    admin = browse("admin")

    answer = admin.post(address(channel, "test"))

    assert answer["Location"] == f"{address(channel)}#deliveries"
    assert said(admin, address(channel)) == [
        "A test message is on its way; its outcome is told under Deliveries."
    ]
    delivery = Delivery.objects.get()
    assert (delivery.event, delivery.state) == ("channel.test", "pending")
    part = admin.get(address(channel, "deliveries")).content.decode()
    assert 'data-busy="yes"' in part
    settled(delivery, "failed", "The server answered 500.")
    part = admin.get(address(channel, "deliveries")).content.decode()
    assert 'data-busy="no"' in part
    assert "The server answered 500." in part


def test_a_message_is_sent_again_unless_it_is_on_its_way(cast: Cast, browse: Browser) -> None:
    channel = webhook(cast)
    delivery = settled(channel_test(cast.actor("admin"), channel=channel), "failed")
    admin = browse("admin")

    answer = admin.post(address(delivery, "redeliver"), {"to_channel": "1"})
    assert answer["Location"] == f"{address(channel)}#deliveries"
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("pending", 0)

    again = admin.post(address(delivery, "redeliver"), follow=True)
    assert "on its way already" in str(list(again.context["messages"])[-1])
    assert "Send it again" not in again.content.decode()


def test_many_messages_are_sent_again_and_those_on_their_way_are_named(
    cast: Cast, browse: Browser
) -> None:
    channel = webhook(cast)
    admin = cast.actor("admin")
    failed = settled(channel_test(admin, channel=channel), "failed")
    pending = channel_test(admin, channel=channel)

    answer = browse("admin").post(
        reverse("admin:governance_delivery_changelist"),
        {
            "action": "redeliver_selected",
            "_selected_action": [str(failed.pk), str(pending.pk)],
        },
        follow=True,
    )

    sentences = [str(message) for message in answer.context["messages"]]
    assert any("on its way already" in sentence for sentence in sentences)
    assert "1 is on its way again." in sentences
    failed.refresh_from_db()
    assert failed.state == "pending"


def test_lists_without_rows_teach(cast: Cast, browse: Browser) -> None:
    User.objects.filter(username="viewer").update(is_staff=True)
    admin, viewer = browse("admin"), browse("viewer")

    page = reverse("admin:governance_channel_changelist")
    assert f'href="{ADD}"' in admin.get(page).content.decode()
    assert "takes the permission <code>channel.edit</code>" in viewer.get(page).content.decode()
    sent = reverse("admin:governance_delivery_changelist")
    assert "Nothing was sent yet" in viewer.get(sent).content.decode()
