"""Commands against a real HTTP server: exit codes, usage, and what is defined in a workspace."""

import pytest

from tests.integration.agentry.contract_server import (
    BASE,
    CHILD,
    RUN,
    RUN_PATH,
    Answer,
    ContractServer,
    run_object,
)
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


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


def test_completion_scripts_are_printed() -> None:
    for shell in ("bash", "zsh", "fish"):
        result = invoke("completion", shell)
        assert (result.exit_code, "_AGENTRY_COMPLETE" in result.stdout) == (0, True)


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
