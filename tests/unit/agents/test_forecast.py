"""The forecast of a month, by hand-made days."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from agents.selectors.forecast import forecast_of

NOON = datetime(2026, 4, 21, 12, tzinfo=UTC)  # nine and a half days are left of April


def days(*dollars: str) -> dict[date, Decimal]:
    """Each day's dollars, the last being yesterday's."""
    last = date(2026, 4, 20).toordinal()
    begin = last - len(dollars) + 1
    return {date.fromordinal(begin + n): Decimal(usd) for n, usd in enumerate(dollars)}


def test_days_alike_leave_no_doubt() -> None:
    found = forecast_of(days("2", "2", "2", "2"), month_usd=Decimal(9), now=NOON)

    assert found is not None
    assert {found.usd, found.low_usd, found.high_usd} == {Decimal(28)}
    assert found.days == 4
    assert "the average of the last 4 complete days (UTC)" in found.method


def test_days_that_differ_make_a_range_around_it() -> None:
    found = forecast_of(days("1", "2", "3"), month_usd=Decimal(100), now=NOON)

    # variance 1; 1.2816 · √(9.5 + 9.5² / 3) = 8.0634
    assert found is not None
    assert (found.usd, found.low_usd, found.high_usd) == (
        Decimal("119.00"),
        Decimal("110.94"),
        Decimal("127.06"),
    )


def test_the_range_does_not_begin_below_what_was_spent() -> None:
    found = forecast_of(days("0.01", "0", "90"), month_usd=Decimal(95), now=NOON)

    assert found is not None
    assert found.low_usd == 95 < found.usd < found.high_usd


def test_days_without_usage_count_from_the_first_with_some() -> None:
    found = forecast_of(days("0", "0", "4", "0", "0", "0"), month_usd=Decimal(4), now=NOON)

    assert found is not None
    assert (found.days, found.usd) == (4, Decimal("13.50"))


def test_two_weeks_are_enough() -> None:
    found = forecast_of(days("99", *["1"] * 14), month_usd=Decimal(0), now=NOON)

    assert found is not None
    assert (found.days, found.usd) == (14, Decimal("9.50"))


@pytest.mark.parametrize("before", [(), ("1",), ("1", "1"), ("0", "1", "1")])
def test_less_than_three_days_make_no_forecast(before: tuple[str, ...]) -> None:
    today = {NOON.date(): Decimal(50)}

    assert forecast_of(days(*before) | today, month_usd=Decimal(52), now=NOON) is None
