"""What counts as more than an agent's author allowed."""

import msgspec
import pytest

from agents.engine.state import Limits
from agents.services.runs.limits import is_raised

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
