"""Starting a run and watching it: the story that is told, and how watching ends."""

import json

import pytest

from tests.integration.agentry.contract_server import (
    BASE,
    CHILD,
    RUN,
    ContractServer,
    problem,
    run_object,
)
from tests.integration.agentry.kit import invoke
from tests.integration.agentry.stories import delegation

pytestmark = pytest.mark.usefixtures("signed_in")


def test_run_tells_the_whole_story_line_by_line(server: ContractServer) -> None:
    delegation(server)
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    result = invoke("run", "Say hello", "-a", "researcher", "--var", "a=b", "--limit", "tokens=9")

    written = (
        r'{"path": "notes.md", "content": "\u001b]0;owned\u0007[red]plain[/red]\u001b[2Jdone"}'
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n") == [
        "● researcher: Say hello",
        "I shall look.",
        f"→ write {written}",
        "✓ write (0.2 s): 12 bytes",
        '→ fetch {"url": "http://10.0.0.1/"}',
        "✗ fetch denied: private address",
        '→ agent {"agent": "writer", "task": "Write it up"}',
        "  ● writer: Write it up",
        "  writer: Once upon",
        "  a time.",
        "  ✓ writer succeeded (1 step)",
        "✓ agent: Once upon a time.",
        "Hello.",
        "✓ succeeded (2 steps · 1,200 in, 34 out · $0.0123)",
        "",
    ]
    assert server.requests("POST", f"{BASE}/runs")[0].body == {
        "agent": "researcher",
        "input": "Say hello",
        "variables": {"a": "b"},
        "limits": {"max_tokens": 9},
    }


def test_quiet_run_prints_the_answer_alone(server: ContractServer) -> None:
    delegation(server)
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    result = invoke("run", "-", "-q", stdin="Say hello")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello.\n", "")


def test_run_as_json_keeps_talk_off_stdout(server: ContractServer) -> None:
    delegation(server)
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    result = invoke("run", "Say hello", "-o", "json")

    assert json.loads(result.stdout) == server.runs[RUN]
    assert "✓ succeeded" in result.stderr


@pytest.mark.parametrize("state", ["failed", "cancelled", "yielded"])
def test_a_run_without_an_answer_ends_with_one(server: ContractServer, state: str) -> None:
    server.tell(RUN, ("run.state", {"state": state}), state=state, output="", reason="Too long.")

    result = invoke("runs", "watch", RUN)

    assert result.exit_code == 1
    assert f"{state}: Too long." in result.stdout


def test_detach_prints_the_id_and_returns(server: ContractServer) -> None:
    server.always(f"POST {BASE}/runs", run_object(state="queued"), 202)

    result = invoke("run", "Say hello", "--detach")

    assert (result.exit_code, result.stdout) == (0, f"{RUN}\n")
    assert f"agentry runs watch {RUN}" in result.stderr


def test_a_problem_with_fields_is_told_field_by_field(server: ContractServer) -> None:
    server.will(
        f"POST {BASE}/runs",
        problem(400, "invalid_input", "The run cannot start.", errors={"limits.x": ["unknown"]}),
    )

    result = invoke("run", "x", "-d")

    assert result.exit_code == 2
    assert result.stderr == "Error: The run cannot start.\n  limits.x: unknown\n"


def test_watching_ends_at_a_yield_though_the_stream_stays_open(server: ContractServer) -> None:
    server.tell(
        RUN,
        ("run.state", {"state": "yielded", "reason": "Limit."}),
        state="yielded",
        output="",
        reason="Limit.",
    )
    server.held.add(RUN)

    result = invoke("runs", "watch", RUN)

    assert result.exit_code == 1
    assert f"agentry runs resume {RUN}" in result.stderr


def test_a_yield_before_a_resumption_is_only_history(server: ContractServer) -> None:
    server.tell(
        RUN,
        ("run.state", {"state": "yielded"}),
        ("run.state", {"state": "running"}),
        ("step.model", {"text": "Hello."}),
    )

    result = invoke("runs", "watch", RUN)

    assert (result.exit_code, "Hello." in result.stdout) == (0, True)


def test_a_child_that_may_not_be_seen_does_not_end_the_watching(server: ContractServer) -> None:
    delegation(server)
    del server.runs[CHILD]

    result = invoke("runs", "watch", RUN)

    assert result.exit_code == 0
    assert f"Child {CHILD} cannot be shown" in result.stderr
    assert result.stdout.endswith("✓ succeeded (2 steps · 1,200 in, 34 out · $0.0123)\n")
