"""Commands against a real HTTP server: what they send, print, and end with."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.agentry.contract_server import (
    BASE,
    CHILD,
    RUN,
    RUN_PATH,
    Answer,
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


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (401, 3), (403, 3), (404, 4), (409, 5), (429, 6), (500, 6)]
)
def test_refusals_have_their_exit_codes(server: ContractServer, status: int, code: int) -> None:
    server.always(
        f"POST {RUN_PATH}/pause",
        {
            "detail": "No.",
            "remedy": "Ask.",
            "code": "x",
            "context": {"by": "ada", "state": "cancelled"},
        },
        status,
    )

    result = invoke("runs", "pause", RUN, "-o", "json")

    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("Error: No.\n")
    assert result.stderr.endswith("Ask.\n")
    assert ("First was: ada" in result.stderr) == (status == 409)


def test_a_server_that_is_not_there_has_its_exit_code() -> None:
    result = invoke("runs", "show", RUN, "--url", "http://127.0.0.1:9")

    assert result.exit_code == 6
    assert "cannot be reached" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "  "),
        ("run", "x", "--limit", "speed=3"),
        ("run", "x", "--limit", "tokens=many"),
        ("run", "x", "--limit", "tokens=-1"),
        ("run", "x", "--var", "novalue"),
        ("runs", "ls", "-o", "xml"),
        ("nonsense",),
        ("tokens", "create", "ci", "--expires-in", "soon"),
    ],
)
def test_wrong_usage_sends_nothing(server: ContractServer, words: tuple[str, ...]) -> None:
    assert invoke(*words, stdin="").exit_code == 2
    assert server.seen == []


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


def test_catalogues_are_listed(server: ContractServer) -> None:
    row = {"name": "mock", "kind": "scripted", "has_key": False}
    for noun in ("providers", "models", "tools", "agents"):
        server.always(f"GET {BASE}/{noun}", {"items": [row], "next_cursor": None})
        result = invoke(noun, "ls")
        assert (result.exit_code, result.stdout.splitlines()[1].split()[0]) == (0, "mock")


def test_a_provider_that_is_unwell_fails_the_check(server: ContractServer) -> None:
    server.will(
        f"POST {BASE}/providers/openai/check",
        Answer(body={"ok": True, "detail": "fine"}),
        Answer(body={"ok": False, "detail": "bad key"}),
    )

    assert invoke("providers", "check", "openai").exit_code == 0
    assert invoke("providers", "check", "openai").exit_code == 1


def test_publishing_finds_the_draft(server: ContractServer) -> None:
    server.always(f"GET {BASE}/agents/writer", {"name": "writer", "published": 2, "draft": 3})
    server.always(f"GET {BASE}/agents/other", {"name": "other", "published": 2, "draft": None})
    server.always(f"POST {BASE}/agents/writer/versions/3/publish", {"number": 3, "state": "x"})

    result = invoke("agents", "publish", "writer")

    assert (result.exit_code, result.stdout) == (0, "writer v3 is published.\n")
    assert invoke("agents", "publish", "other").exit_code == 2


def test_a_call_in_doubt_is_resolved(server: ContractServer) -> None:
    path = f"{BASE}/tool-calls/{CHILD}"
    server.always(f"POST {path}/resolve", {"id": CHILD, "tool": "pay", "state": "committed"})

    result = invoke("calls", "resolve", CHILD, "--outcome", "committed", "--note", "saw it")

    assert result.exit_code == 0, result.output
    assert server.seen[0].body == {"outcome": "committed", "note": "saw it"}


def test_an_approval_is_decided(server: ContractServer) -> None:
    path = f"{BASE}/approvals/{CHILD}"
    row = {"id": CHILD, "title": "helper wants to call pay", "state": "approved", "votes": []}
    votes = [{"user": "ann", "verdict": "approve", "is_counted": True}]
    server.always(f"GET {BASE}/approvals", {"items": [{**row, "state": "pending"}]})
    server.always(f"GET {path}", {**row, "arguments": {"amount": 7}})
    server.always(f"POST {path}/decide", {**row, "state": "pending", "quorum": 2, "votes": votes})

    listed = invoke("approvals", "ls")
    shown = invoke("approvals", "show", CHILD)
    approved = invoke("approvals", "approve", CHILD)
    denied = invoke("approvals", "deny", CHILD, "--reason", "no")
    edited = invoke("approvals", "edit", CHILD, "--arguments", '{"amount": 5}')
    broken = invoke("approvals", "edit", CHILD, "--arguments", "[5]")

    assert "helper wants to call pay" in listed.stdout
    assert "amount" in shown.stdout
    assert approved.stdout == f"{CHILD} is pending (1 of 2 have said yes).\n"
    assert (denied.exit_code, edited.exit_code, broken.exit_code) == (0, 0, 2)
    assert server.seen[0].query == {"state": "pending", "limit": "50"}
    assert [each.body for each in server.requests("POST", f"{path}/decide")] == [
        {"verdict": "approve"},
        {"verdict": "deny", "reason": "no"},
        {"verdict": "approve", "arguments": {"amount": 5}},
    ]


def test_a_policy_is_written_and_published(server: ContractServer, tmp_path: Path) -> None:
    version = {"number": 3, "source": "rules: []", "is_active": True}
    server.always(f"PUT {BASE}/policy", {"source": "rules: []"})
    server.always(f"GET {BASE}/policy", {"source": "rules: []", "active": 2})
    server.always(f"GET {BASE}/policy/versions/3", version)
    server.always(f"POST {BASE}/policy/publish", version, 201)
    file = tmp_path / "policy.yaml"
    file.write_text("rules: []")

    published = invoke("policy", "publish", str(file), "--note", "first")
    draft, third = invoke("policy", "show"), invoke("policy", "show", "--version", "3")

    assert published.stdout == "Version 3 is in force.\n"
    assert server.requests("PUT", f"{BASE}/policy")[0].body == {"source": "rules: []"}
    assert server.requests("POST", f"{BASE}/policy/publish")[0].body == {"note": "first"}
    assert "rules: []" in draft.stdout
    assert "rules: []" in third.stdout
    assert invoke("policy", "publish", str(tmp_path / "none.yaml")).exit_code == 2


def test_a_new_token_goes_to_stdout_alone(server: ContractServer) -> None:
    server.always("POST /api/v1/tokens", {"id": "t2", "name": "ci", "secret": "agk_new"}, 201)

    result = invoke("tokens", "create", "ci", "--scope", "run.start", "--expires-in", "90d")

    assert (result.exit_code, result.stdout) == (0, "agk_new\n")
    body = server.seen[0].body
    assert (body["workspace"], body["scopes"]) == ("lab", ["run.start"])
    assert body["expires_at"].endswith("Z")


def test_completion_scripts_are_printed() -> None:
    for shell in ("bash", "zsh", "fish"):
        result = invoke("completion", shell)
        assert (result.exit_code, "_AGENTRY_COMPLETE" in result.stdout) == (0, True)


def test_one_run_that_was_decided_does_not_keep_the_others(server: ContractServer) -> None:
    server.will(f"POST {RUN_PATH}/cancel", problem(409, "stale_state", "It is over."))
    server.runs[CHILD] = run_object(CHILD, state="running")

    result = invoke("runs", "cancel", RUN, CHILD)

    assert result.exit_code == 5
    assert server.runs[CHILD]["state"] == "cancelled"


def test_details_are_shown_for_people(server: ContractServer) -> None:
    asked = {"requested_by": "u-1", "requested_by_name": "ann"}
    server.runs[RUN] = run_object(
        forked_from={"run": CHILD, "sequence": 3}, reason="Done.", **asked
    )
    call = {"id": CHILD, "tool": "pay", "state": "in_doubt", "arguments": {"usd": 3}}
    spec = {"prompt": "Write.", "tools": ["ls"]}
    server.always(f"GET {BASE}/tool-calls/{CHILD}", call)
    server.always(f"GET {BASE}/tool-calls", {"items": [call]})
    server.always(f"GET {BASE}/tools/pay", {"name": "pay", "effect": "keyed"})
    server.always(f"GET {BASE}/agents/w", {"name": "w", "published": 2, "spec": spec})
    server.always(f"GET {BASE}/agents/w/versions", {"items": [{"number": 2, "state": "published"}]})
    server.always(f"GET {BASE}/agents/w/versions/2", {"number": 2, "spec": spec})
    server.always(f"GET {BASE}/sessions", {"items": []})
    server.always(f"GET {BASE}/workers", {"items": [{"id": "w1", "running": 2, "capacity": 9}]})
    server.always("GET /api/v1/tokens", {"items": [{"id": "t", "name": "ci", "prefix": "agk_ab"}]})

    shown = {
        words: invoke(*words)
        for words in (
            ("runs", "show", RUN), ("calls", "show", CHILD), ("calls", "ls"),
            ("tools", "show", "pay"),
            ("agents", "show", "w"), ("agents", "show", "w", "--version", "2"),
            ("sessions", "ls"), ("workers", "ls"), ("tokens", "ls"), ("version",), ("config",),
        )
    }  # fmt: skip

    assert {words: result.exit_code for words, result in shown.items()} == dict.fromkeys(shown, 0)
    of_run = " ".join(shown["runs", "show", RUN].stdout.split())
    assert f"Forked from: {CHILD} Requested by: ann " in of_run
    assert "arguments:" in shown["calls", "show", CHILD].stdout
    assert "keyed" in shown["tools", "show", "pay"].stdout
    assert "tools:" in shown["agents", "show", "w"].stdout
    assert "Nothing found." in shown["sessions", "ls"].stderr
    assert "1.2.3" in shown["version",].stdout
    assert server.url in shown["config",].stdout


def test_a_token_is_revoked(server: ContractServer) -> None:
    server.always("DELETE /api/v1/tokens/t1", None, 204)

    result = invoke("tokens", "revoke", "t1")

    assert (result.exit_code, result.stdout) == (0, "")
    assert len(server.requests("DELETE", "/api/v1/tokens/t1")) == 1


@pytest.mark.parametrize("verb", ["show", "why", "cancel", "replay", "events", "trace", "watch"])
def test_what_cannot_be_the_id_of_a_run_is_told_as_such(server: ContractServer, verb: str) -> None:
    result = invoke("runs", verb, "123")

    assert result.exit_code == 4
    assert result.stderr.splitlines() == [
        "Error: There is no run '123': the id of a run is a UUID.",
        "`agentry runs ls` lists the runs with their ids.",
    ]
    assert server.seen == []


def test_an_unknown_form_of_output_is_told_without_jargon() -> None:
    result = invoke("runs", "ls", "--output", "xml")

    told = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert "'xml' is not known here; one of table, json, yaml." in told
    assert "Value error" not in told


@pytest.mark.parametrize("option", ["-w", "--workspace", "--output"])
def test_a_shared_option_before_the_command_is_sent_behind_it(option: str) -> None:
    result = invoke(option, "x", "runs", "ls")

    told = " ".join(result.stderr.replace("│", " ").split())
    assert result.exit_code == 2
    assert f"No such option: {option}. Put it behind the command" in told


def test_a_secret_comes_from_stdin_and_never_from_the_command(server: ContractServer) -> None:
    row = {"name": "github", "version": 2, "description": "for releases"}
    server.always(f"GET {BASE}/secrets", {"items": [row]})
    server.always(f"POST {BASE}/secrets", row, 201)
    server.always(f"POST {BASE}/secrets/github/rotate", {**row, "version": 3})
    server.always(f"DELETE {BASE}/secrets/github", None, 204)

    listed = invoke("secrets", "ls")
    made = invoke("secrets", "set", "github", "--version", "0", stdin="line one\nline two\n")
    rotated = invoke("secrets", "rotate", "github", stdin="the new value")
    removed = invoke("secrets", "rm", "github")

    assert "for releases" in listed.stdout
    assert (made.stdout, rotated.stdout, removed.exit_code) == ("", "", 0)
    assert "version 2" in made.stderr
    assert "version 3" in rotated.stderr
    assert server.requests("POST", f"{BASE}/secrets")[0].body == {
        "name": "github", "value": "line one\nline two", "version": 0,
    }  # fmt: skip
    assert server.requests("POST", f"{BASE}/secrets/github/rotate")[0].body == {
        "value": "the new value"
    }
    assert invoke("secrets", "set", "github", "the value").exit_code == 2
    assert invoke("secrets", "set", "github", stdin="").exit_code == 2
