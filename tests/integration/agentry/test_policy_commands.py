"""Trying, shadowing and publishing policies from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.agentry.contract_server import (
    BASE,
    RUN,
    Answer,
    ContractServer,
    problem,
)
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

VERSION = {
    "number": 4, "source": "rules: []", "is_shadow": True, "shadow_asked": 9,
    "shadow_differing": 1, "shadow_skipped": 2,
}  # fmt: skip
SHOWN = {"effect": "allow", "rule": "fine", "reason": "", "is_abnormal": False}


def batch(*, judged: int, cursor: str | None = None, **changes: Any) -> dict[str, Any]:
    example = {
        "change": "newly_blocked", "call": "c", "run": RUN, "at": "2026-01-01T00:00:00Z",
        "tool": "shell", "agent": "helper", "user": "ada", "state": "committed",
        "is_reconstructed": False, "before": SHOWN, "arguments": {"command": "ls"},
        "after": {**SHOWN, "effect": "deny", "rule": "no-shell"},
    }  # fmt: skip
    return {
        "since": "2026-01-01T00:00:00Z", "version": "v", "compared_with": "builtin-1",
        "judged": judged, "reconstructed": 0, "abnormal": 0, "newly_blocked": 1, "newly_asked": 0,
        "newly_free": 0, "unchanged": judged - 1,
        "rules": [{"change": "newly_blocked", "rule": "no-shell", "count": 1}],
        "unjudged": [{"reason": "run_gone", "count": 1}], "examples": [example],
        "next_cursor": cursor, **changes,
    }  # fmt: skip


def test_cases_of_files_are_run_on_the_server(server: ContractServer, tmp_path: Path) -> None:
    good, bad, policy = (tmp_path / name for name in ("good.yaml", "bad.yaml", "tool.rego"))
    good.write_text("cases: [1]")
    bad.write_text("cases: [2]")
    policy.write_text("package agentry.tool")
    failure = {"name": "two", "line": 3, "sentence": "line 3, two: effect is 'allow'"}
    path = f"POST {BASE}/policy/test"
    server.will(path, Answer(body={"count": 2, "failures": []}))
    server.will(path, Answer(body={"count": 1, "failures": [failure]}))

    result = invoke("policy", "test", str(good), str(bad), "--policy", str(policy))

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{good}: 2 of 2 hold", f"{bad}: 0 of 1 hold", "  line 3, two: effect is 'allow'",
    ]  # fmt: skip
    assert [each.body for each in server.requests("POST", f"{BASE}/policy/test")] == [
        {"cases": cases, "source": "package agentry.tool", "language": "rego"}
        for cases in ("cases: [1]", "cases: [2]")
    ]


def test_without_files_the_drafts_own_cases_are_run(server: ContractServer) -> None:
    server.always(f"POST {BASE}/policy/test", {"count": 3, "failures": []})

    result = invoke("policy", "test", "-o", "json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"file": "the draft's cases", "count": 3, "failures": []}]
    assert server.requests("POST", f"{BASE}/policy/test")[0].body == {}


def test_a_simulation_goes_through_all_batches_and_sums_them(server: ContractServer) -> None:
    path = f"POST {BASE}/policy/simulate"
    server.will(path, Answer(body=batch(judged=10, cursor="more")))
    server.will(path, Answer(body=batch(judged=5)))

    result = invoke("policy", "simulate", "--days", "30", "--examples", "1", "-o", "json")

    found = json.loads(result.stdout)
    assert (found["judged"], found["newly_blocked"], found["unchanged"]) == (15, 2, 13)
    assert found["rules"] == [{"change": "newly_blocked", "rule": "no-shell", "count": 2}]
    assert (found["unjudged"], found["is_complete"]) == ([{"reason": "run_gone", "count": 2}], True)
    assert len(found["examples"]) == 1
    assert "11 calls looked at" in result.stderr
    assert [each.body for each in server.requests("POST", f"{BASE}/policy/simulate")] == [
        {"days": 30, "limit": 1000, "examples": 1},
        {"days": 30, "limit": 1000, "examples": 1, "cursor": "more"},
    ]


def test_a_simulation_stops_at_its_limit_and_says_so(server: ContractServer) -> None:
    server.always(f"POST {BASE}/policy/simulate", batch(judged=10, cursor="more"))

    result = invoke("policy", "simulate", "--limit", "15")

    assert "no-shell" in result.stdout
    assert [each.body["limit"] for each in server.requests("POST", f"{BASE}/policy/simulate")] == [
        15, 4,
    ]  # fmt: skip


def test_publishing_offers_to_look_first(server: ContractServer, tmp_path: Path) -> None:
    file, cases = tmp_path / "policy.rego", tmp_path / "cases.yaml"
    file.write_text("package agentry.tool")
    cases.write_text("cases: []")
    server.always(f"PUT {BASE}/policy", {"source": "x"})
    server.always(f"POST {BASE}/policy/simulate", batch(judged=10))
    server.always(f"POST {BASE}/policy/publish", VERSION, 201)
    words = ("policy", "publish", str(file), "--cases", str(cases), "--shadow", "--simulate")

    refused = invoke(*words, stdin="n\n")
    agreed = invoke(*words, "--despite-failures", stdin="y\n")

    assert refused.exit_code != 0
    assert agreed.stdout.splitlines()[-1] == "Version 4 is asked as a shadow."
    assert "no-shell" in agreed.stdout
    assert server.requests("PUT", f"{BASE}/policy")[0].body == {
        "source": "package agentry.tool", "language": "rego", "cases": "cases: []",
    }  # fmt: skip
    assert [each.body for each in server.requests("POST", f"{BASE}/policy/publish")] == [
        {"mode": "shadow", "despite_failures": True}
    ]


def test_failing_cases_are_all_told(server: ContractServer) -> None:
    failures = ["line 1, one: no", "line 2, two: no"]
    said = "2 of 2 test cases of the policy fail."
    refusal = problem(409, "policy_cases_failed", said, errors={"cases": failures})
    server.will(f"POST {BASE}/policy/publish", refusal)

    result = invoke("policy", "publish")

    assert result.exit_code == 5
    assert all(f"cases: {each}" in result.stderr for each in failures)


def test_a_shadow_is_shown_and_ended(server: ContractServer) -> None:
    row = {
        "id": "d", "version": 4, "call": "c", "run": RUN, "tool": "pay", "effect": "allow",
        "rule": "fine", "shadow_effect": "deny", "shadow_rule": "never", "at": None,
    }  # fmt: skip
    server.always(f"GET {BASE}/policy", {"source": "x", "shadow": 4})
    server.always(f"GET {BASE}/policy/versions/4", VERSION)
    server.always(f"GET {BASE}/policy/differences", {"items": [row], "next_cursor": None})
    server.always(f"DELETE {BASE}/policy/shadow", None, 204)

    shown, ended = invoke("policy", "shadow"), invoke("policy", "shadow", "--end")

    assert "never" in shown.stdout
    assert "9" in shown.stdout
    assert ended.exit_code == 0
    assert "No shadow" in ended.stderr


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
    assert server.requests("PUT", f"{BASE}/policy")[0].body == {
        "source": "rules: []",
        "language": "matrix",
    }
    assert server.requests("POST", f"{BASE}/policy/publish")[0].body == {"note": "first"}
    assert "rules: []" in draft.stdout
    assert "rules: []" in third.stdout
    assert invoke("policy", "publish", str(tmp_path / "none.yaml")).exit_code == 2
