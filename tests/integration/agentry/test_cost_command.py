"""`agentry cost`."""

import json
from typing import Any

import pytest

from tests.integration.agentry.contract_server import BASE, ContractServer
from tests.integration.agentry.kit import invoke

pytestmark = pytest.mark.usefixtures("signed_in")


def usage(cost_usd: str, unknown_calls: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "calls": 4, "input_tokens": 1200, "output_tokens": 34, "cache_read_tokens": 200,
        "cost_usd": cost_usd, "is_floor": unknown_calls > 0, "unknown_calls": unknown_calls,
        "unknown_input_tokens": 0, "unknown_output_tokens": 0, **fields,
    }  # fmt: skip


ANSWER = {
    "period": "30d", "since": "2026-04-01T00:00:00Z", "until": "2026-04-30T12:00:00Z",
    "counted_until": "2026-04-30T11:59:00Z", "total": usage("12.34600000", 1),
    "before": usage("0.00000000"), "today": usage("0.01230000"), "month": usage("12.34600000", 1),
    "unknown_usd": "3.20000000",
    "forecast": {
        "usd": "14.00", "low_usd": "13.10", "high_usd": "14.90", "days": 9, "method": "By hand.",
    },
    "by": ["agent", "day"],
    "rows": [
        usage("12.34600000", agent="writer", day="2026-04-03T00:00:00Z"),
        usage("0.00000000", 1, agent="", day="2026-04-04T00:00:00Z"),
    ],
    "rows_left_out": 3,
}  # fmt: skip


def test_a_cost_is_told_with_what_is_not_known_of_it(server: ContractServer) -> None:
    server.always(f"GET {BASE}/cost", ANSWER)

    table = invoke("cost", "--period", "30d", "--by", "agent", "--by", "day")
    as_json = invoke("cost", "-o", "json", "-q")

    lines = [" ".join(line.split()) for line in table.stdout.splitlines()]
    assert "Last 30d: ≥ $12.35" in lines
    assert "Today: $0.0123" in lines
    assert "Before that: $0.00" in lines
    assert "Forecast: $14.00 ($13.10 to $14.90). By hand." in lines
    assert "No known price: 1 of 4 calls; budgets count $3.20" in lines
    assert "Counted until: 2026-04-30T11:59:00Z" in lines
    assert "AGENT DAY COST CALLS TOKENS IN CACHED TOKENS OUT NO PRICE" in lines
    assert "writer 2026-04-03 $12.35 4 1200 200 34 -" in lines
    assert "- 2026-04-04 unknown 4 1200 200 34 1" in lines
    assert "and 3 cheaper rows" in lines
    assert [each.query for each in server.seen] == [
        {"period": "30d", "by": "agent,day"},
        {"period": "7d", "by": "agent"},
    ]
    assert json.loads(as_json.stdout) == ANSWER


def test_an_amount_too_small_for_cents_is_not_shown_as_nothing(server: ContractServer) -> None:
    server.always(f"GET {BASE}/cost", {**ANSWER, "today": usage("0.00001250")})

    lines = [" ".join(line.split()) for line in invoke("cost").stdout.splitlines()]

    assert "Today: $0.0000125" in lines


def test_nothing_used_is_said(server: ContractServer) -> None:
    nothing = usage("0.00000000")
    answer = {**ANSWER, "total": nothing, "forecast": None, "counted_until": None, "rows": [],
              "rows_left_out": 0}  # fmt: skip
    server.always(f"GET {BASE}/cost", answer)

    told = invoke("cost")

    assert "Nothing was used in this time." in told.stderr
    assert "Forecast" not in told.stdout
    assert "No known price" not in told.stdout
