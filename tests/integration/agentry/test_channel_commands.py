"""Commands about channels: what they send, what they print, and what they print only once."""

import json
from typing import Any

import pytest

import agentry
from tests.integration.agentry.contract_server import BASE, CHILD, TOKEN, Answer, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

CHANNEL: dict[str, Any] = {
    "id": CHILD, "name": "ops", "kind": "webhook", "url": "https://hooks.example/in",
    "addresses": [], "events": ["approval.asked"], "acts_as": "bot", "identities": {},
    "is_enabled": True, "has_secret": True, "secret": None,
}  # fmt: skip
DELIVERY: dict[str, Any] = {
    "id": CHILD, "channel": "ops", "event": "channel.test", "recipient": "", "state": "pending",
    "attempts": 0, "due_at": "2026-11-22T08:00:00Z", "last_error": "",
    "created_at": "2026-11-22T08:00:00Z", "settled_at": None,
}  # fmt: skip
MAIL = {**CHANNEL, "name": "letters", "kind": "email", "url": "", "acts_as": None}


def test_channels_are_listed_with_where_they_go(server: ContractServer) -> None:
    server.always(f"GET {BASE}/channels", {"items": [CHANNEL, MAIL], "next_cursor": None})

    table = invoke("channels", "ls").stdout.splitlines()
    as_json = invoke("channels", "ls", "-o", "json")

    assert "https://hooks.example/in" in table[1]
    assert "whoever may decide" in table[2]
    assert json.loads(as_json.stdout) == [CHANNEL, MAIL]


def test_a_channel_is_shown(server: ContractServer) -> None:
    server.always(f"GET {BASE}/channels/ops", CHANNEL)

    shown = invoke("channels", "show", "ops")

    assert (shown.exit_code, "acts_as:" in shown.stdout) == (0, True)
    assert "addresses:" not in shown.stdout


def test_the_secret_that_was_made_goes_to_stdout_alone(server: ContractServer) -> None:
    server.always(f"POST {BASE}/channels", {**CHANNEL, "secret": "whsec_new"}, 201)

    made = invoke(
        "channels", "add", "ops", "--kind", "webhook", "--to-url", "https://hooks.example/in",
        "--event", "approval.asked", "--acts-as", "bot",
    )  # fmt: skip

    assert (made.exit_code, made.stdout) == (0, "whsec_new\n")
    assert "agentry channels test ops" in made.stderr
    assert "not shown again" in made.stderr
    (request,) = server.seen
    assert request.body == {
        "name": "ops", "kind": "webhook", "url": "https://hooks.example/in",
        "events": ["approval.asked"], "acts_as": "bot",
    }  # fmt: skip
    assert "idempotency-key" not in request.headers


def test_the_secret_of_slack_comes_from_stdin_and_is_not_printed(server: ContractServer) -> None:
    server.always(f"POST {BASE}/channels", {**CHANNEL, "kind": "slack"}, 201)
    words = ("channels", "add", "ops", "--kind", "slack", "--to-url", "https://slack.example/x")

    made = invoke(*words, "--identity", "U024=ann", "--secret-stdin", stdin="of the app\n")
    without = invoke(*words)

    assert (made.exit_code, made.stdout) == (0, "")
    (request,) = server.seen
    assert (request.body["secret"], request.body["identities"]) == ("of the app", {"U024": "ann"})
    assert without.exit_code == 2
    assert "Slack needs the signing secret of its app." in without.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--kind", "pigeon"), "There is no kind 'pigeon' of channel."),
        (("--kind", "email", "--secret-stdin"), "A channel for e-mail has no secret."),
        (("--kind", "webhook", "--secret-stdin"), "There is no secret on stdin."),
        (("--kind", "slack", "--identity", "ann"), "--identity 'ann' is not NAME=VALUE."),
    ],
)
def test_a_channel_that_cannot_be_is_refused_before_anything_is_sent(
    server: ContractServer, words: tuple[str, ...], sentence: str
) -> None:
    refused = invoke("channels", "add", "ops", *words, stdin="")

    assert refused.exit_code == 2
    assert sentence in refused.stderr
    assert server.seen == []


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        ({"state": "delivered", "attempts": 1}, 0, f"{CHILD} to ops got through.\n"),
        (
            {"attempts": 1, "last_error": "The server answered 503."},
            1,
            f"{CHILD} to ops is on its way: The server answered 503.\n",
        ),
    ],
    ids=["delivered", "refused"],
)
def test_a_test_waits_until_it_was_tried(
    server: ContractServer, outcome: dict[str, Any], code: int, told: str
) -> None:
    server.always(f"POST {BASE}/channels/ops/test", DELIVERY, 202)
    server.will(f"GET {BASE}/deliveries/{CHILD}", Answer(body=DELIVERY))
    server.always(f"GET {BASE}/deliveries/{CHILD}", {**DELIVERY, **outcome})

    tried = invoke("channels", "test", "ops")

    assert (tried.exit_code, tried.stdout) == (code, told)
    assert len(server.requests("GET", f"{BASE}/deliveries/{CHILD}")) == 2


def test_a_test_that_is_not_waited_for_is_on_its_way(server: ContractServer) -> None:
    server.always(f"POST {BASE}/channels/ops/test", DELIVERY, 202)

    tried = invoke("channels", "test", "ops", "--no-wait")

    assert (tried.exit_code, tried.stdout) == (0, f"{CHILD} to ops is on its way.\n")
    assert len(server.seen) == 1


@pytest.mark.parametrize(("answer", "removed"), [("n\n", 0), ("y\n", 1), (None, 1)])
def test_a_channel_is_deleted_after_a_question_or_with_yes(
    server: ContractServer, answer: str | None, removed: int
) -> None:
    server.always(f"GET {BASE}/channels/ops", CHANNEL)
    server.always(f"DELETE {BASE}/channels/ops", None, 204)

    done = invoke("channels", "rm", "ops", *(() if answer else ("--yes",)), stdin=answer)

    assert done.exit_code == (0 if removed else 2)
    assert len(server.requests("DELETE", f"{BASE}/channels/ops")) == removed
    assert ("is deleted" in done.stderr) == bool(removed)


def test_a_channel_that_is_not_there_is_told_before_any_question(server: ContractServer) -> None:
    done = invoke("channels", "rm", "none", stdin="y\n")

    assert done.exit_code == 4
    assert "Delete the channel" not in done.stderr
    assert server.requests("DELETE", f"{BASE}/channels/none") == []


def test_deliveries_are_listed_and_sent_again(server: ContractServer) -> None:
    failed = {**DELIVERY, "state": "failed", "attempts": 8, "last_error": "It answered 503."}
    server.always(f"GET {BASE}/deliveries", {"items": [failed, DELIVERY], "next_cursor": None})
    server.always(f"POST {BASE}/deliveries/{CHILD}/redeliver", DELIVERY)

    listed = invoke("channels", "deliveries", "ops", "--state", "failed")
    again = invoke("channels", "redeliver", CHILD)

    assert "It answered 503." in listed.stdout.splitlines()[1]
    assert "due 2026-11-22T08:00:00Z" in listed.stdout.splitlines()[2]
    assert server.seen[0].query == {"channel": "ops", "state": "failed", "limit": "50"}
    assert again.stdout == f"{CHILD} to ops is on its way.\n"
    assert server.seen[1].headers["idempotency-key"]


async def test_both_clients_know_channels_and_their_deliveries(server: ContractServer) -> None:
    server.always(f"GET {BASE}/channels/ops", CHANNEL)
    server.always(f"PATCH {BASE}/channels/ops", {**CHANNEL, "secret": "whsec_other"})
    server.always(f"GET {BASE}/deliveries", {"items": [DELIVERY], "next_cursor": None})

    with agentry.Client(server.url, TOKEN, workspace="lab") as client:
        channel = client.channels.get("ops")
        changed = client.channels.update("ops", secret="")
        listed = [each.state for each in client.deliveries.iterate(channel="ops")]
    async with agentry.AsyncClient(server.url, TOKEN, workspace="lab") as client:
        same = await client.channels.get("ops")
        again = [each.state async for each in client.deliveries.iterate(channel="ops")]

    assert (channel, channel.acts_as, listed) == (same, "bot", ["pending"])
    assert (changed.secret, again) == ("whsec_other", listed)
    assert server.requests("PATCH", f"{BASE}/channels/ops")[0].body == {"secret": ""}
