"""Commands about budgets: what they send and what they print."""

import json
from typing import Any

import pytest

from tests.integration.agentry.contract_server import BASE, CHILD, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")

NOW: dict[str, Any] = {
    "starts_at": "2026-11-01T00:00:00Z", "ends_at": "2026-12-01T00:00:00Z",
    "limit_usd": "110.00000000", "spent_usd": "12.50000000", "reserved_usd": "0.00125000",
    "remaining_usd": "97.49875000", "waiting": 2,
}  # fmt: skip
BUDGET: dict[str, Any] = {
    "id": CHILD, "name": "monthly", "kind": "agent", "agent": "helper", "user": None,
    "period": "month", "time_zone": "UTC", "limit_usd": "100.00000000", "is_enabled": True,
    "note": "", "now": NOW, "created_by": "ann", "changed_by": "ann",
}  # fmt: skip
MISSING = {"title": "Not found", "status": 404, "code": "not_found", "detail": "There is none."}
LINE = (
    "monthly: $12.50 spent and $0.00125 set aside of $110.00, $97.49875 left; 2 waiting for more\n"
)


def test_budgets_are_listed_with_how_they_stand(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budgets", {"items": [BUDGET], "next_cursor": None})

    table = invoke("budgets", "ls").stdout.splitlines()
    as_json = invoke("budgets", "ls", "-o", "json")

    assert table[0].split()[:6] == ["NAME", "FOR", "WHOM", "PERIOD", "LIMIT", "SPENT"]
    assert table[1].split()[:6] == ["monthly", "agent", "helper", "month", "$110.00", "$12.50"]
    assert json.loads(as_json.stdout) == [BUDGET]


def test_a_budget_is_shown(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budgets/monthly", BUDGET)

    shown = invoke("budgets", "show", "monthly").stdout

    assert "$100.00" in shown
    assert "2 waiting for more" in shown


def test_one_that_is_not_there_is_made(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budgets/monthly", MISSING, 404)
    server.always(f"POST {BASE}/budgets", BUDGET, 201)

    made = invoke("budgets", "set", "monthly", "100", "--agent", "helper", "--period", "week")

    assert (made.exit_code, made.stdout) == (0, LINE)
    assert server.seen[-1].body == {
        "name": "monthly", "kind": "agent", "agent": "helper", "period": "week",
        "limit_usd": "100",
    }  # fmt: skip


def test_one_that_is_there_gets_another_limit(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budgets/monthly", BUDGET)
    server.always(f"PATCH {BASE}/budgets/monthly", BUDGET)

    changed = invoke("budgets", "set", "monthly", "80", "--off")

    assert (changed.exit_code, changed.stdout) == (0, LINE)
    assert server.seen[-1].body == {"limit_usd": "80", "is_enabled": False}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--period", "day"), "--period cannot change"),
        (("--agent", "a", "--user", "b"), "for an agent or for a user"),
        (("--period", "hour"), "There is no period 'hour'"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_sent(
    server: ContractServer, words: tuple[str, ...], sentence: str
) -> None:
    server.always(f"GET {BASE}/budgets/monthly", BUDGET)

    refused = invoke("budgets", "set", "monthly", "80", *words)

    assert refused.exit_code == 2
    assert sentence in refused.stderr
    assert [request for request in server.seen if request.method != "GET"] == []


def test_a_budget_is_raised(server: ContractServer) -> None:
    server.always(f"POST {BASE}/budgets/monthly/raise", BUDGET)

    for amount in (["10"], ["--by", "10"]):
        raised = invoke("budgets", "raise", "monthly", *amount, "--reason", "launch")
        assert (raised.exit_code, raised.stdout) == (0, LINE)
    assert server.seen[-1].body == {"by_usd": "10", "reason": "launch"}


def test_a_budget_is_deleted_when_that_is_agreed_to(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budgets/monthly", BUDGET)
    server.always(f"DELETE {BASE}/budgets/monthly", None, 204)

    kept = invoke("budgets", "rm", "monthly", stdin="n\n")
    gone = invoke("budgets", "rm", "monthly", "--yes")

    assert (kept.exit_code, gone.exit_code) == (2, 0)
    assert [request.method for request in server.seen] == ["GET", "DELETE"]


def test_the_tree_is_indented(server: ContractServer) -> None:
    top = {"kind": "workspace", "title": "all", "whose": "workspace", "depth": 0, "run": None,
           "now": {**NOW, "waiting": 0}}  # fmt: skip
    run = {"kind": "run", "title": "helper", "whose": "", "depth": 1, "run": CHILD, "now": NOW}
    server.always(f"GET {BASE}/budget-tree", {"branches": [top, run]})

    lines = invoke("budgets", "tree").stdout.splitlines()

    assert lines[0].startswith("all (workspace): $12.50 spent")
    assert lines[1].startswith(f"  helper (run {CHILD}): ")


def test_an_empty_tree_says_what_to_do(server: ContractServer) -> None:
    server.always(f"GET {BASE}/budget-tree", {"branches": []})

    assert "agentry budgets set" in invoke("budgets", "tree").stdout


@pytest.mark.parametrize("words", [(), ("10", "--by", "10")])
def test_a_raise_says_once_by_how_much(server: ContractServer, words: tuple[str, ...]) -> None:
    refused = invoke("budgets", "raise", "monthly", *words)

    assert (refused.exit_code, server.seen) == (2, [])
    assert "agentry budgets raise monthly 25" in refused.stderr
