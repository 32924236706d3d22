"""Channels in the hands of who must not decide, and messages that break their sender."""

from typing import Any

import pytest

from core import clock
from core.errors import DomainError, InvalidInputError, PermissionDeniedError
from governance.contracts import SYSTEM, Actor, ChannelEvent, ChannelKind, Posted
from governance.execution.delivering import deliveries_send
from governance.models import Channel, Delivery, Workspace
from governance.selectors.channels import channel_secret
from governance.services.channels import channel_create, channel_update
from governance.services.roles import role_create
from tests.integration.agents.approvals.kit import person
from tests.integration.agents.approvals.test_surfaces import api

HOOK = "https://hooks.example/services/T0/B0/hardtoguess"


@pytest.fixture
def admin(workspace: Workspace) -> Actor:
    return person(workspace, "ada", "admin")


@pytest.fixture
def wirer(workspace: Workspace, ann: Actor) -> Actor:
    """Somebody who sets channels up and decides nothing."""
    perms = ["workspace.view", "channel.view", "channel.edit"]
    role_create(SYSTEM, workspace=workspace, name="wirer", permissions=perms)
    return person(workspace, "will", "wirer")


def make(actor: Actor, workspace: Workspace, **fields: Any) -> Channel:
    made = channel_create(
        actor, workspace=workspace, **{"name": "hook", "kind": "webhook", "url": HOOK, **fields}
    )
    return made.channel


def test_who_may_not_decide_lends_themselves_nobodys_voice(
    workspace: Workspace, wirer: Actor
) -> None:
    for fields in (
        {"acts_as": "ann"},
        {"acts_as": "will"},
        {"kind": "slack", "secret": "of the app", "identities": {"U1": "ann"}},
    ):
        with pytest.raises(PermissionDeniedError):
            make(wirer, workspace, **fields)
    assert Channel.objects.count() == 0
    assert make(wirer, workspace).acts_as is None


def test_the_secret_of_a_channel_that_decides_is_not_theirs_to_change(
    workspace: Workspace, wirer: Actor, admin: Actor
) -> None:
    channel = make(admin, workspace, acts_as="ann")
    before = channel_secret(channel)
    with pytest.raises(PermissionDeniedError):
        channel_update(wirer, channel=channel, secret="")
    channel.refresh_from_db()
    assert channel_secret(channel) == before
    assert channel_update(wirer, channel=channel, url=f"{HOOK}2").secret == ""
    assert channel_update(wirer, channel=channel, acts_as=None).channel.acts_as is None


def test_a_channel_may_bring_ones_own_decisions(workspace: Workspace, admin: Actor) -> None:
    perms = ["workspace.view", "channel.edit", "approval.decide", "approval.view", "run.payload"]
    role_create(SYSTEM, workspace=workspace, name="decider", permissions=perms)
    dora = person(workspace, "dora", "decider")
    made = make(dora, workspace, acts_as="dora")
    assert made.acts_as is not None
    assert made.acts_as.username == "dora"
    assert channel_update(dora, channel=made, secret="").secret.startswith("whsec_")


@pytest.mark.parametrize("url", ["http://[::1", "https://exam\u2100ple/", "http://a:99999/", "//x"])
def test_an_address_that_cannot_be_read_is_a_mistake_and_no_breakdown(
    workspace: Workspace, admin: Actor, url: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        make(admin, workspace, url=url)
    assert refused.value.fields.keys() == {"url"}


def test_an_address_is_a_secret_to_who_only_looks(workspace: Workspace, admin: Actor) -> None:
    make(admin, workspace, kind="slack", secret="of the app")
    person(workspace, "vic", "viewer")
    place = "/api/v1/workspaces/acme/channels/hook"
    assert api("vic").get(place).json()["url"] == "https://hooks.example/…"
    assert api("ada").get(place).json()["url"] == HOOK


class Poster:
    """Breaks at some addresses as no poster should, and is asked for the others."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def post(self, url: str, **_sent: Any) -> Posted:
        self.asked.append(url)
        if "broken" in url:
            raise RuntimeError(f"no way to {url}")
        return (
            Posted(problem=f"{url} could not be reached.") if "away" in url else Posted(status=200)
        )


def due(channel: Channel) -> Delivery:
    return Delivery.objects.create(
        workspace_id=channel.workspace_id,
        channel=channel,
        event=ChannelEvent.TEST.value,
        event_key=str(channel.pk),
        payload={"title": "x"},
        due_at=clock.now(),
    )


def test_one_message_that_breaks_its_sender_keeps_no_other_back(
    workspace: Workspace, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    poster = Poster()
    monkeypatch.setattr("governance.execution.delivering.poster", lambda: poster)
    names = ("broken", "fine")
    rows = [due(make(admin, workspace, name=name, url=f"{HOOK}-{name}")) for name in names]
    assert deliveries_send() == 2

    for row in rows:
        row.refresh_from_db()
    assert [(row.state, row.lease_until) for row in rows] == [
        ("pending", None),
        ("delivered", None),
    ]
    assert rows[0].last_error == "Sending it broke: RuntimeError."
    assert rows[0].due_at > clock.now()


def test_what_is_said_of_a_failure_does_not_tell_the_address(
    workspace: Workspace, admin: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("governance.execution.delivering.poster", Poster)
    row = due(make(admin, workspace, url="https://hooks.example/away/hardtoguess"))
    deliveries_send()
    row.refresh_from_db()
    assert row.last_error == "https://hooks.example/… could not be reached."


def test_kinds_are_those_that_are_known(workspace: Workspace, admin: Actor) -> None:
    with pytest.raises(DomainError, match=ChannelKind.SLACK.value):
        make(admin, workspace, kind="pager")
