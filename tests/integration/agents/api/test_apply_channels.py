"""Channels as documents: made and changed, with no secret in any answer or export."""

import base64
from typing import Any

import pytest
from auditlog.models import LogEntry

from agents.services.apply import apply
from agents.services.documents import Kind
from agents.services.exporting import documents_export
from core.sealing import seal
from governance.contracts import SYSTEM, ChannelEvent, Perm
from governance.models import AuditEntry, Budget, Channel, ChannelIdentity
from governance.selectors.channels import SECRET_PURPOSE, channel_secret
from governance.services.channels import channel_create
from tests.factories.governance import Cast, join, make_workspace
from tests.integration.agents.api.conftest import CallAs
from tests.integration.agents.api.documents import change, document, mistakes, paths

URL = "https://hooks.example/services/T0/B0/abcdefgh"
EVENTS = sorted(event.value for event in ChannelEvent if event is not ChannelEvent.TEST)
SECRET = "whsec_" + base64.b64encode(b"pineapple-on-pizza-for-all-99").decode()
SLACK = "the signing secret of an app"


def webhook(**spec: Any) -> dict[str, Any]:
    return document("Channel", "ops", {"kind": "webhook", "url": URL, **spec})


def slack(**spec: Any) -> dict[str, Any]:
    return document("Channel", "team", {"kind": "slack", "url": URL, "secret": SLACK, **spec})


def mail(**spec: Any) -> dict[str, Any]:
    return document("Channel", "mail", {"kind": "email", **spec})


def traces() -> tuple[int, ...]:
    """How many rows tell of a channel."""
    models = (Channel, ChannelIdentity, AuditEntry, LogEntry)
    return tuple(model._default_manager.count() for model in models)


def test_a_webhook_is_made_with_a_secret_that_no_answer_shows(cast: Cast, call_as: CallAs) -> None:
    made = change(call_as("admin"), webhook(acts_as="admin"))

    row = Channel.objects.get()
    assert (row.kind, row.url, row.events, row.is_enabled) == ("webhook", URL, EVENTS, True)
    assert row.acts_as == cast.users["admin"]
    assert channel_secret(row).startswith("whsec_")
    assert channel_secret(row) not in str(made)
    assert made["action"] == "create"
    assert paths(made) == {
        "spec.acts_as": (None, "admin"),
        "spec.events": (None, EVENTS),
        "spec.is_enabled": (None, True),
        "spec.kind": (None, "webhook"),
        "spec.secret": (
            None, "(made here and sealed; make another on the channel's page to see it)"
        ),
        "spec.url": (None, "https://hooks.example/…"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [
        webhook(acts_as="admin", secret=SECRET, events=["run.failed", "approval.asked"]),
        slack(identities={"U1": "admin", "U2": "viewer"}, is_enabled=False),
        mail(addresses=["b@example.org", "a@example.org", "b@example.org"]),
    ],
)
def test_the_same_twice_changes_nothing(cast: Cast, call_as: CallAs, sent: dict[str, Any]) -> None:
    admin = call_as("admin")
    assert change(admin, sent)["action"] == "create"
    before = traces()
    rows = list(Channel.objects.values())

    again = change(admin, sent)

    assert (again["action"], again["diff"]) == ("unchanged", [])
    assert traces() == before
    assert list(Channel.objects.values()) == rows


def test_what_is_left_out_is_set_to_its_default_but_for_secret_and_address(
    cast: Cast, call_as: CallAs
) -> None:
    admin = call_as("admin")
    change(admin, slack(identities={"U1": "viewer"}, events=["run.failed"], is_enabled=False))

    changed = change(admin, document("Channel", "team", {"kind": "slack"}))

    assert paths(changed) == {
        "spec.events": (["run.failed"], EVENTS),
        "spec.identities.U1": ("viewer", None),
        "spec.is_enabled": (False, True),
    }
    row = Channel.objects.get()
    assert (row.url, channel_secret(row)) == (URL, SLACK)
    assert not ChannelIdentity.objects.exists()


def test_another_address_is_told_without_its_path(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    change(admin, webhook(secret=SECRET))

    path = change(admin, webhook(url="https://hooks.example/other"))
    host = change(admin, webhook(url="https://else.example/other"))

    assert paths(path) == {
        "spec.url": ("https://hooks.example/…", "https://hooks.example/… (another path)")
    }
    assert paths(host) == {"spec.url": ("https://hooks.example/…", "https://else.example/…")}
    row = Channel.objects.get()
    assert (row.url, channel_secret(row)) == ("https://else.example/other", SECRET)


def test_a_secret_is_changed_and_a_dry_run_confirms_no_guess(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    change(admin, slack())
    before, sealed = traces(), bytes(Channel.objects.get().sealed_secret or b"")

    right = change(admin, slack(), dry_run=True)
    wrong = change(admin, slack(secret="another secret of it"), dry_run=True)

    assert right == wrong
    assert paths(right) == {"spec.secret": ("(sealed)", "(sealed, another one)")}
    assert traces() == before
    assert bytes(Channel.objects.get().sealed_secret or b"") == sealed

    changed = change(admin, slack(secret="another secret of it"))
    assert paths(changed) == {"spec.secret": ("(sealed)", "(sealed, another one)")}
    assert channel_secret(Channel.objects.get()) == "another secret of it"


@pytest.mark.parametrize(
    ("sent", "place", "sentence"),
    [
        (webhook(kind="pigeon"), "spec.kind", "Choose one of: webhook, email, slack"),
        (webhook(colour="red"), "spec.colour", "Unknown field"),
        (webhook(url="nowhere"), "spec.url", "http or https"),
        (webhook(url="https://hooks.example/…"), "spec.url", "not the whole address"),
        (webhook(url="https://h.example/?token=[redacted]"), "spec.url", "not the whole address"),
        (webhook(url="https://h.example/" + "x" * 2_000), "spec.url", "at most 2000"),
        (document("Channel", "ops", {"kind": "webhook"}), "spec.url", "Give the address"),
        (webhook(secret="short"), "spec.secret", "24 to 64 bytes"),
        (webhook(secret=""), "spec.secret", "at least 1"),
        (webhook(events=["weather"]), "spec.events", "'weather' is none of"),
        (webhook(events=[]), "spec.events", "Choose from"),
        (webhook(acts_as="stranger"), "spec.acts_as", "is no member"),
        (webhook(identities={"U1": "admin"}), "spec.identities", "Only a Slack channel"),
        (webhook(is_enabled="yes"), "spec.is_enabled", "valid boolean"),
        (slack(secret=None), "spec.secret", "signing secret of the Slack app"),
        (slack(secret="${secret:slack}"), "spec.secret", "does not look one up"),
        (slack(acts_as="admin"), "spec.acts_as", "Only a webhook"),
        (slack(identities={"U1": "stranger"}), "spec.identities", "is no member"),
        (mail(url=URL), "spec.url", "e-mail has addresses"),
        (mail(addresses=["nobody"]), "spec.addresses", "is no address"),
        (mail(secret=SECRET), "spec.secret", "has no secret"),
        (document("Channel", "Ops!", {"kind": "email"}), "metadata.name", "lower"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    cast: Cast, call_as: CallAs, sent: dict[str, Any], place: str, sentence: str
) -> None:
    admin = call_as("admin")
    before = traces()
    budget = document("Budget", "all", {"kind": "workspace", "limit_usd": "5"})

    told = mistakes(admin, budget, sent)

    assert list(told) == [f"documents.1.{place}"]
    assert sentence in told[f"documents.1.{place}"][0]
    assert not Budget.objects.exists()
    assert traces() == before


def test_the_kind_stays(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    change(admin, webhook())

    told = mistakes(admin, webhook(kind="slack", secret=SLACK))

    assert told == {"documents.0.spec.kind": ["Channel/ops: is 'webhook' and cannot change"]}


def test_letters_of_a_person_are_no_channel_of_the_workspace(cast: Cast, call_as: CallAs) -> None:
    channel = channel_create(SYSTEM, workspace=cast.acme, name="letters-1", kind="email").channel
    Channel.objects.filter(pk=channel.pk).update(owner=cast.users["viewer"])

    told = mistakes(call_as("admin"), document("Channel", "letters-1", {"kind": "email"}))

    assert "There is a channel 'letters-1' already." in told["documents.0"][0]
    found = documents_export(actor=cast.actor("admin"), workspace=cast.acme, kind=Kind.CHANNEL)
    assert found == []


@pytest.mark.parametrize("missing", [Perm.CHANNEL_VIEW, Perm.CHANNEL_EDIT])
def test_it_takes_the_permission_to_see_and_to_edit_channels(
    cast: Cast, call_as: CallAs, missing: Perm
) -> None:
    caller = call_as("admin", scopes=[perm.value for perm in Perm if perm is not missing])
    budget = document("Budget", "all", {"kind": "workspace", "limit_usd": "5"})
    before = traces()

    for dry_run in (True, False):
        body = {"documents": [budget, webhook()], "dry_run": dry_run}
        answer = caller("post", "apply", body)

        assert answer.status_code == 403
        assert missing.value in answer.json()["detail"]
    assert not Budget.objects.exists()
    assert traces() == before


def test_the_secret_of_a_channel_that_speaks_for_others_takes_managing_the_workspace(
    cast: Cast, call_as: CallAs
) -> None:
    """Right or wrong: else the answer would tell which."""
    change(call_as("admin"), slack(identities={"U1": "viewer"}))
    held = [perm.value for perm in Perm if perm is not Perm.WORKSPACE_MANAGE]
    caller = call_as("admin", scopes=held)
    before = traces()

    for secret in (SLACK, "a guess that is wrong"):
        for dry_run in (True, False):
            sent = slack(identities={"U1": "viewer"}, secret=secret)
            answer = caller("post", "apply", {"documents": [sent], "dry_run": dry_run})
            assert answer.status_code == 403

    assert traces() == before
    kept = document("Channel", "team", {"kind": "slack", "identities": {"U1": "viewer"}})
    assert change(caller, kept)["action"] == "unchanged"


def test_channels_are_exported_without_secrets_and_come_back(cast: Cast) -> None:
    root, empty = cast.actor("root"), make_workspace("empty")
    sent = [
        webhook(acts_as="admin", secret=SECRET),
        slack(identities={"U1": "viewer"}, is_enabled=False),
        mail(addresses=["a@example.org"], events=["run.failed"]),
    ]
    apply(actor=root, workspace=cast.acme, documents=sent)

    found = documents_export(actor=root, workspace=cast.acme, kind=Kind.CHANNEL)

    common = {"events": EVENTS, "is_enabled": True}
    assert [(each["metadata"]["name"], each["spec"]) for each in found] == [
        (
            "mail",
            {"kind": "email", **common, "events": ["run.failed"], "addresses": ["a@example.org"]},
        ),
        ("ops", {"kind": "webhook", **common, "url": URL, "acts_as": "admin"}),
        (
            "team",
            {
                "kind": "slack", **common, "is_enabled": False, "url": URL,
                "identities": {"U1": "viewer"},
            },
        ),
    ]  # fmt: skip
    changes = apply(actor=root, workspace=cast.acme, documents=found)
    assert {each.action for each in changes} == {"unchanged"}

    join(empty, "admin", "admin")
    join(empty, "viewer", "viewer")
    found[2]["spec"]["secret"] = SLACK
    changes = apply(actor=root, workspace=empty, documents=found)
    assert {each.action for each in changes} == {"create"}
    del found[2]["spec"]["secret"]
    assert documents_export(actor=root, workspace=empty, kind=Kind.CHANNEL) == found


def test_an_address_is_exported_for_editors_and_only_without_what_looks_like_a_secret(
    cast: Cast,
) -> None:
    root, token = cast.actor("root"), "https://h.example/?token=abcdefgh"
    apply(actor=root, workspace=cast.acme, documents=[webhook()])

    def exported(who: str) -> dict[str, Any]:
        actor = cast.actor(who)
        (found,) = documents_export(actor=actor, workspace=cast.acme, kind=Kind.CHANNEL)
        return dict(found)

    assert exported("admin")["spec"]["url"] == URL
    assert "hooks.example" not in str(exported("viewer"))
    apply(actor=root, workspace=cast.acme, documents=[webhook(url=token)])
    for who in ("admin", "viewer"):
        assert "url" not in exported(who)["spec"]
        (again,) = apply(actor=root, workspace=cast.acme, documents=[exported(who)])
        assert again.action == "unchanged"
    assert Channel.objects.get().url == token


def test_a_secret_that_cannot_be_opened_can_be_given_anew(cast: Cast, call_as: CallAs) -> None:
    admin = call_as("admin")
    change(admin, webhook(secret=SECRET))
    row = Channel.objects.get()
    elsewhere = seal(SECRET, workspace_id=cast.other.pk, name=str(row.pk), purpose=SECRET_PURPOSE)
    Channel.objects.update(sealed_secret=elsewhere)

    changed = change(admin, webhook(secret=SECRET))

    assert paths(changed) == {"spec.secret": ("(sealed)", "(sealed, another one)")}
    assert channel_secret(Channel.objects.get()) == SECRET
