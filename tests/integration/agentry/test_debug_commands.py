"""Commands that hold a run, step it and change what it is about to do."""

import json
from typing import Any

import pytest

from tests.integration.agentry.contract_server import RUN, RUN_PATH, ContractServer, problem
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

CALL = "01890000-0000-7000-8000-0000000000c1"
TOOL_BREAK = {"kind": "tool", "value": "bash*"}


def debugger(**fields: Any) -> dict[str, Any]:
    call = {
        "id": CALL, "index": 0, "tool": "pay", "state": "planned", "arguments": {"amount": 7},
        "is_held": True, "is_editable": True, "payload_hidden": False,
    }  # fmt: skip
    message = {"position": 2, "role": "tool", "text": "12 degrees", "payload_hidden": False}
    known = {
        "run": RUN, "version": 4, "state": "paused", "step": "tool", "breakpoints": [TOOL_BREAK],
        "scope": "run", "hold": "step", "sentence": "Held before the call of pay (step mode).",
        "next": "tools", "can_add": False, "calls": [call], "messages": [message],
        "held_below": [], "by": "ann", "deed": "stepped it", "payload_hidden": False,
    }  # fmt: skip
    return {**known, **fields}


def edit(**fields: Any) -> dict[str, Any]:
    known = {
        "sequence": 3, "kind": "arguments", "position": 1, "index": 0, "before": {"amount": 7},
        "after": {"amount": 5}, "edited_by_name": "ann", "created_at": "2026-01-01T00:00:00Z",
        "payload_hidden": False,
    }  # fmt: skip
    return {**known, **fields}


def test_where_a_run_stands_is_told(server: ContractServer) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())

    told = invoke("debug", RUN)
    as_json = invoke("debug", RUN, "-o", "json")

    assert told.stdout.splitlines() == [
        f"{RUN} is paused. Held before the call of pay (step mode).",
        "Step mode tool; breakpoints: tool:bash*; for this run.",
        '  call 0 pay {"amount": 7} [planned]',
        "  message 2 tool: 12 degrees",
    ]
    assert json.loads(as_json.stdout) == debugger()


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (("--step", "both"), {"step": "both", "breakpoints": [TOOL_BREAK], "scope": "run"}),
        (
            ("--break", "cost:0.50", "--tree"),
            {
                "step": "tool",
                "breakpoints": [TOOL_BREAK, {"kind": "cost", "value": "0.50"}],
                "scope": "tree",
            },
        ),
        (("--clear",), {"step": "tool", "breakpoints": [], "scope": "run"}),
    ],
)
def test_settings_are_put_over_what_is_set(
    server: ContractServer, options: tuple[str, ...], sent: dict[str, Any]
) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())
    server.always(f"PUT {RUN_PATH}/debug", debugger(version=5))

    assert invoke("debug", RUN, *options).exit_code == 0
    assert server.seen[-1].body == {"version": 4, **sent}


@pytest.mark.parametrize("verb", ["step", "continue"])
def test_going_on_names_the_version_that_was_seen(server: ContractServer, verb: str) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())
    server.always(f"POST {RUN_PATH}/{verb}", debugger(version=5, state="queued", hold=""))

    result = invoke(verb, RUN)

    assert result.stdout.startswith(f"{RUN} is queued.\n")
    assert server.seen[-1].body == {"version": 4}


def test_whoever_comes_second_hears_it(server: ContractServer) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())
    refusal = problem(409, "stale_state", "bob stepped it.")
    server.always(f"POST {RUN_PATH}/step", refusal.body, status=409)

    result = invoke("step", RUN)

    assert result.exit_code == 5
    assert "bob stepped it." in result.stderr


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (
            ("--call", "0", "--arguments", '{"amount": 5}'),
            {"kind": "arguments", "call": CALL, "arguments": {"amount": 5}},
        ),
        (
            ("--message", "2", "--text", "30 degrees"),
            {"kind": "message", "position": 2, "text": "30 degrees"},
        ),
        (("--say", "Hurry"), {"kind": "added", "text": "Hurry"}),
    ],
)
def test_an_edit_is_sent_and_told_with_its_difference(
    server: ContractServer, options: tuple[str, ...], sent: dict[str, Any]
) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())
    server.always(f"POST {RUN_PATH}/edits", edit())

    result = invoke("edit", RUN, *options)

    assert server.seen[-1].body == {"version": 4, **sent}
    assert result.stdout.splitlines() == [
        "Changed at checkpoint 3 (arguments).", '- {"amount": 7}', '+ {"amount": 5}',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("debug", RUN, "--break", "bash"), "is no breakpoint"),
        (("edit", RUN, "--say", "x", "--text", "y"), "one of three things"),
        (("edit", RUN, "--call", "7", "--arguments", "{}"), "Open are: 0 (pay)."),
        (("edit", RUN, "--call", "0", "--arguments", "[]"), "not a JSON object"),
        (("edit", RUN, "--call", "0", "--arguments", "{"), "not JSON"),
    ],
)
def test_what_cannot_be_meant_is_not_sent(
    server: ContractServer, options: tuple[str, ...], sentence: str
) -> None:
    server.always(f"GET {RUN_PATH}/debug", debugger())

    result = invoke(*options)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert [seen.method for seen in server.seen] == ["GET"]


def test_what_was_changed_is_listed(server: ContractServer) -> None:
    server.always(f"GET {RUN_PATH}/edits", {"items": [edit()], "next_cursor": None})

    table = invoke("edits", RUN)

    assert table.stdout.splitlines()[1].split()[:4] == ["3", "arguments", "1", "ann"]
