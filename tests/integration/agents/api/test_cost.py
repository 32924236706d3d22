"""What a workspace spent, over REST."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core import clock
from observability.models import UsageHour
from observability.selectors.usage import hours_back
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs

pytestmark = pytest.mark.django_db


def used(cast: Cast, *, hours: int = 0, is_other: bool = False, **fields: Any) -> None:
    known = {
        "agent": "helper", "model": "small", "provider": "script",
        "user": str(cast.users["operator"].pk), "calls": 2, "input_tokens": 1_000,
        "output_tokens": 100, "cost_usd": Decimal("0.5"),
    }  # fmt: skip
    workspace = cast.other if is_other else cast.acme
    UsageHour.objects.create(
        workspace_id=workspace.pk, hour=hours_back(hours), **{**known, **fields}
    )


def test_usage_is_summed_by_what_is_asked_for(cast: Cast, call_as: CallAs) -> None:
    used(cast)
    used(cast, agent="writer", cost_usd=Decimal("2.00000001"))
    used(cast, agent="writer", user="", model="big", cost_usd=Decimal(0), unknown_calls=2,
         unknown_input_tokens=1_000, unknown_output_tokens=100)  # fmt: skip
    used(cast, hours=24 * 7, cost_usd=Decimal(7))
    used(cast, is_other=True, cost_usd=Decimal(99))

    found = call_as("operator")("get", "cost?by=agent,user").json()

    told = ("agent", "user", "cost_usd", "is_floor")
    assert [tuple(row[name] for name in told) for row in found["rows"]] == [
        ("writer", "operator", "2.00000001", False),
        ("helper", "operator", "0.50000000", False),
        ("writer", "", "0.00000000", True),
    ]  # fmt: skip
    assert found["total"] == {
        "calls": 6, "input_tokens": 3_000, "output_tokens": 300, "cache_read_tokens": 0,
        "cost_usd": "2.50000001", "is_floor": True, "unknown_calls": 2,
        "unknown_input_tokens": 1_000, "unknown_output_tokens": 100,
    }  # fmt: skip
    assert found["before"]["cost_usd"] == "7.00000000"
    assert found["unknown_usd"] == "0.02250000"
    assert (found["period"], found["by"], found["counted_until"]) == ("7d", ["agent", "user"], None)
    assert (found["forecast"]["days"], found["rows_left_out"]) == (7, 0)


def test_times_come_in_order(cast: Cast, call_as: CallAs) -> None:
    used(cast, hours=1, cost_usd=Decimal(9))
    used(cast, hours=2)
    used(cast)

    found = call_as("operator")("get", "cost?by=hour&period=24h").json()

    hours = [row["hour"] for row in found["rows"]]
    assert hours == sorted(hours)
    assert len(hours) == 3
    assert clock.now() - hours_back(2) < timedelta(hours=3)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("period=1y", "period"),
        ("by=colour", "by"),
        ("by=agent,agent", "by"),
        ("by=agent,model,user,day", "by"),
        ("by=workspace", "by"),
        ("since=2026", "since"),
    ],
)
def test_what_cannot_be_asked_is_named(cast: Cast, call_as: CallAs, query: str, place: str) -> None:
    refused = call_as("operator")("get", f"cost?{query}")

    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == [place]


def test_a_workspace_without_usage_has_spent_nothing(cast: Cast, call_as: CallAs) -> None:
    found = call_as("operator")("get", "cost?by=").json()

    assert (found["total"]["calls"], found["rows"], found["forecast"]) == (0, [], None)


def test_who_may_not_see_budgets_sees_no_cost(cast: Cast, call_as: CallAs) -> None:
    used(cast)

    assert call_as("operator", scopes=["run.view"])("get", "cost").status_code == 403
    assert call_as("outsider")("get", "cost").status_code == 404
