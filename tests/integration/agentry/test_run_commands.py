"""Commands about runs: listing, steering, explaining and reading them."""

import json
from typing import Any

import pytest
import yaml

from tests.integration.agentry.contract_server import (
    BASE,
    CHILD,
    RUN,
    RUN_PATH,
    ContractServer,
    problem,
    run_object,
)
from tests.integration.agentry.kit import invoke
from tests.integration.agentry.stories import HOSTILE, delegation

pytestmark = pytest.mark.usefixtures("signed_in")


def test_runs_are_listed_as_table_json_and_yaml(server: ContractServer) -> None:
    rows = [run_object(state="waiting", wait_kind="in_doubt", input=HOSTILE)]
    server.always(f"GET {BASE}/runs", {"items": rows, "next_cursor": "more"})

    table = invoke("runs", "ls", "--state", "waiting", "-s", "hello")
    as_json = invoke("runs", "ls", "-o", "json", "-q")
    as_yaml = invoke("runs", "ls", "-o", "yaml", "-q")

    assert table.stdout.splitlines()[0].split() == [
        "ID", "AGENT", "STATE", "STEPS", "TOKENS", "COST", "AGE", "INPUT",
    ]  # fmt: skip
    assert "waiting (in_doubt)" in table.stdout
    assert "[red]plain[/red]done" in table.stdout
    assert "\x1b" not in table.stdout + as_json.stdout + as_yaml.stdout
    assert "There is more" in table.stderr
    assert server.seen[0].query == {"state": "waiting", "q": "hello", "limit": "30"}
    assert json.loads(as_json.stdout) == rows
    assert yaml.safe_load(as_yaml.stdout)[0]["id"] == RUN


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("pause", RUN), "pause", {}),
        (("resume", RUN, "--limit", "iterations=50"), "resume", {"limits": {"max_iterations": 50}}),
        (("cancel", RUN, "--reason", "enough"), "cancel", {"reason": "enough"}),
        (
            ("fork", RUN, "--at", "3", "--model", "big", "--message", "Again", "--no-start"),
            "fork",
            {"checkpoint": 3, "model": "big", "message": "Again", "start": False},
        ),
        (("replay", RUN), "replay", {}),
    ],
)
def test_steering_sends_what_was_asked(
    server: ContractServer, words: tuple[str, ...], path: str, body: dict[str, Any]
) -> None:
    server.always(f"POST {RUN_PATH}/{path}", run_object(state="paused"))

    result = invoke("runs", *words)

    assert result.exit_code == 0, result.output
    assert server.requests("POST", f"{RUN_PATH}/{path}")[0].body == body
    assert RUN in result.stdout


def test_one_run_that_was_decided_does_not_keep_the_others(server: ContractServer) -> None:
    server.will(f"POST {RUN_PATH}/cancel", problem(409, "stale_state", "It is over."))
    server.runs[CHILD] = run_object(CHILD, state="running")

    result = invoke("runs", "cancel", RUN, CHILD)

    assert result.exit_code == 5
    assert server.runs[CHILD]["state"] == "cancelled"


@pytest.mark.parametrize("runs", [(RUN,), (RUN, CHILD)], ids=["one", "several"])
def test_who_cancels_too_late_is_told_once_for_each_run(
    server: ContractServer, runs: tuple[str, ...]
) -> None:
    for run in runs:
        server.always(
            f"POST {BASE}/runs/{run}/cancel",
            problem(409, "stale_state", "It is over.", remedy="Look again.").body,
            status=409,
        )

    result = invoke("runs", "cancel", *runs)

    assert result.exit_code == 5
    assert result.stderr.count("It is over.") == len(runs)
    assert all((run in result.stderr) == (len(runs) > 1) for run in runs)


def test_the_command_says_what_it_is_and_shows_what_a_run_was_sent_with(
    server: ContractServer,
) -> None:
    server.runs[RUN] = run_object(surface="api", client="cli")

    shown = invoke("runs", "show", RUN)

    assert server.seen[0].headers["user-agent"].startswith("agentry-cli/")
    assert "cli, through api (as the client says of itself)" in " ".join(shown.stdout.split())


@pytest.mark.parametrize("verb", ["show", "why", "cancel", "replay", "events", "trace", "watch"])
def test_what_cannot_be_the_id_of_a_run_is_told_as_such(server: ContractServer, verb: str) -> None:
    result = invoke("runs", verb, "123")

    assert result.exit_code == 4
    assert result.stderr.splitlines() == [
        "Error: There is no run '123': the id of a run is a UUID.",
        "`agentry runs ls` lists the runs with their ids.",
    ]
    assert server.seen == []


@pytest.mark.parametrize(
    ("command", "noun", "listing"),
    [
        (("approvals", "show", "123"), "approval", "approvals ls"),
        (("grants", "uses", "123"), "grant", "grants ls"),
        (("delegations", "end", "123"), "delegation", "delegations ls"),
        (("channels", "redeliver", "123"), "delivery", "channels deliveries"),
        (("tokens", "revoke", "123"), "token", "tokens ls"),
        (("calls", "show", "123"), "tool call", "calls ls --state committed"),
    ],
)
def test_what_cannot_be_an_id_is_told_in_words_of_what_it_should_name(
    server: ContractServer, command: tuple[str, ...], noun: str, listing: str
) -> None:
    result = invoke(*command)

    assert result.exit_code == 4
    article = "an" if noun == "approval" else "a"
    first, second = result.stderr.splitlines()
    assert first == f"Error: There is no {noun} '123': the id of {article} {noun} is a UUID."
    assert second.startswith(f"`agentry {listing}` lists the ")
    assert server.seen == []


def test_who_may_not_see_payloads_reads_why_in_words(server: ContractServer) -> None:
    server.always(
        f"GET {RUN_PATH}/why",
        {
            "state": "waiting",
            "summary": None,
            "reasons": [{"code": "waiting_budget", "sentence": None, "remedy": "Raise it."}],
            "blockers": [],
            "payload_hidden": True,
        },
    )

    assert invoke("runs", "why", RUN).stdout.splitlines() == [
        "It is waiting. Why, in its words, takes run.payload.",
        "- waiting budget",
        "  Raise it.",
    ]


def test_messages_that_are_hidden_say_so(server: ContractServer) -> None:
    row = {"position": 0, "role": "user", "parts": None, "payload_hidden": True}
    server.always(f"GET {RUN_PATH}/messages", {"items": [row], "next_cursor": None})

    assert invoke("runs", "messages", RUN).stdout.splitlines() == [
        "[0] user  (hidden: reading it takes run.payload)"
    ]


def test_an_empty_list_of_calls_says_of_which_state(server: ContractServer) -> None:
    server.always("GET /api/v1/workspaces/lab/tool-calls", {"items": [], "next_cursor": None})

    assert invoke("calls", "ls").stderr.splitlines() == [
        "No tool call is in_doubt; --state lists those in another state."
    ]


def test_why_is_told_with_remedies(server: ContractServer) -> None:
    server.always(
        f"GET {RUN_PATH}/why",
        {
            "state": "waiting",
            "summary": "Waits for somebody.",
            "reasons": [{"code": "c", "sentence": "A call is in doubt.", "remedy": "Resolve it."}],
            "blockers": [],
        },
    )

    result = invoke("runs", "why", RUN)

    assert result.stdout == "Waits for somebody.\n- A call is in doubt.\n  Resolve it.\n"


def test_why_says_a_sentence_once(server: ContractServer) -> None:
    reason = {"code": "c", "sentence": "It is paused.", "remedy": "Resume it."}
    answer = {"state": "paused", "summary": "It is paused.", "reasons": [reason], "blockers": []}
    server.always(f"GET {RUN_PATH}/why", answer)

    assert invoke("runs", "why", RUN).stdout == "It is paused.\n  Resume it.\n"


def test_limits_are_shown_and_refused_in_the_words_they_are_given_in(
    server: ContractServer,
) -> None:
    limits = {"max_iterations": 25, "max_tokens": None, "max_cost_usd": "0.50"}
    server.always(f"GET {RUN_PATH}", run_object(limits=limits))

    assert "max_iterations=25, max_cost_usd=0.50\n" in invoke("runs", "show", RUN).stdout
    refused = invoke("run", "x", "--limit", "iterations=many")
    assert refused.stderr == "Error: --limit iterations=many: 'many' is not a number.\n"


def test_events_messages_and_trace_are_shown(server: ContractServer) -> None:
    delegation(server)
    server.always(f"GET {RUN_PATH}/trace", {"ts": 1})
    server.always(
        f"GET {RUN_PATH}/messages",
        {"items": [{"position": 0, "role": "user", "parts": [{"type": "text", "content": "Hi"}]}]},
    )

    events = invoke("runs", "events", RUN, "--after", "14", "-o", "json")
    followed = invoke("runs", "events", RUN, "--after", "14", "-f", "-o", "json")
    trace = invoke("runs", "trace", RUN, "--form", "legacy")
    messages = invoke("runs", "messages", RUN)

    assert [each["sequence"] for each in json.loads(events.stdout)] == [15, 16]
    assert [json.loads(each)["sequence"] for each in followed.stdout.splitlines()] == [15, 16]
    assert trace.stdout == '{"ts": 1}'
    assert server.requests("GET", f"{RUN_PATH}/trace")[0].query == {"form": "legacy"}
    assert messages.stdout == "[0] user\n    Hi\n"
