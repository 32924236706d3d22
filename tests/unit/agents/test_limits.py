"""What counts as more than an agent's author allowed."""

from decimal import Decimal

import msgspec
import pytest

from agents.engine.state import Limits
from agents.services.runs.limits import is_raised, merged_limits
from core.errors import InvalidInputError

BASE = Limits(max_iterations=10, max_tokens=1000, max_cost_usd=None, wall_seconds=60)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"max_iterations": 9}, False),
        ({"max_iterations": 11}, True),
        ({"max_tokens": None}, True),
        ({"max_cost_usd": 5}, False),
        ({"wall_seconds": 61.0}, True),
        ({"model_retries": 4}, True),
    ],
)
def test_only_more_is_raised(changes: dict[str, object], expected: bool) -> None:
    assert is_raised(BASE, msgspec.structs.replace(BASE, **changes)) is expected


@pytest.mark.parametrize("given", ["10000000", "1e30", "NaN", "Infinity", "0", "-1"])
def test_a_limit_of_money_is_an_amount_that_can_be_counted(given: str) -> None:
    with pytest.raises(InvalidInputError):
        merged_limits(BASE, {"max_cost_usd": given})

    assert merged_limits(BASE, {"max_cost_usd": "9999999.99"}).max_cost_usd == Decimal("9999999.99")
