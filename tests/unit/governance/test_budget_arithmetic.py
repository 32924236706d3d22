"""When periods begin and end, what is left of a limit, and how much a raise is suggested."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.budgets import BEGINNING, Figures, dollars, span_of, suggested_raise, zone_of
from governance.contracts import BudgetPeriod

PRAGUE = zone_of("Europe/Prague")


@pytest.mark.parametrize(
    ("period", "at", "starts_at", "ends_at"),
    [
        ("day", "2026-11-22T22:59", "2026-11-21T23:00", "2026-11-22T23:00"),
        ("day", "2026-11-22T23:00", "2026-11-22T23:00", "2026-11-23T23:00"),
        ("day", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 hours
        ("week", "2026-11-22T12:00", "2026-11-15T23:00", "2026-11-22T23:00"),
        ("month", "2026-12-31T23:30", "2026-12-31T23:00", "2027-01-31T23:00"),
        ("month", "2026-10-15T00:00", "2026-09-30T22:00", "2026-10-31T23:00"),
    ],
)
def test_a_period_begins_at_midnight_of_its_zone(
    period: str, at: str, starts_at: str, ends_at: str
) -> None:
    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    span = span_of(BudgetPeriod(period), utc(at), PRAGUE)

    assert (span.starts_at, span.ends_at) == (utc(starts_at), utc(ends_at))


def test_in_all_has_no_end() -> None:
    span = span_of(BudgetPeriod.TOTAL, datetime(2026, 1, 1, tzinfo=UTC), PRAGUE)

    assert (span.starts_at, span.ends_at) == (BEGINNING, None)


@given(
    period=st.sampled_from([BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH]),
    at=st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    zone=st.sampled_from(["UTC", "Europe/Prague", "America/St_Johns", "Pacific/Apia"]),
)
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(
    period: BudgetPeriod, at: datetime, zone: str
) -> None:
    span = span_of(period, at, zone_of(zone))

    assert span.ends_at is not None
    assert span.starts_at <= at < span.ends_at
    assert span_of(period, span.starts_at, zone_of(zone)) == span
    assert span_of(period, span.ends_at, zone_of(zone)).starts_at == span.ends_at


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "a\x00b"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="There is no time zone"):
        zone_of(name)


@pytest.mark.parametrize(
    ("limit", "spent", "held", "left"),
    [("1", "0.2", "0.3", "0.5"), ("1", "1.5", "0", "0"), (None, "5", "0", None)],
)
def test_what_is_left_is_never_less_than_nothing(
    limit: str | None, spent: str, held: str, left: str | None
) -> None:
    figures = Figures(
        limit_usd=None if limit is None else Decimal(limit),
        spent_usd=Decimal(spent),
        reserved_usd=Decimal(held),
    )

    assert figures.remaining_usd == (None if left is None else Decimal(left))


@given(
    limit=st.decimals(0, 1000, places=8),
    spent=st.decimals(0, 1000, places=8),
    held=st.decimals(0, 10, places=8),
    needed=st.decimals("0.00000001", 10, places=8),
)
def test_a_suggested_raise_makes_room_for_the_next_call(
    limit: Decimal, spent: Decimal, held: Decimal, needed: Decimal
) -> None:
    raised = suggested_raise(Figures(limit_usd=limit, spent_usd=spent, reserved_usd=held), needed)

    assert limit + raised >= spent + held + needed
    assert raised >= limit / 10
    assert raised == raised.quantize(Decimal("0.01")) > 0


@pytest.mark.parametrize(
    ("usd", "text"),
    [("1", "$1.00"), ("0.5", "$0.50"), ("0.00000001", "$0.00000001"), ("1000", "$1000.00"),
     ("0.137952", "$0.137952")],
)  # fmt: skip
def test_amounts_are_written_with_cents_and_what_more_it_takes(usd: str, text: str) -> None:
    assert dollars(Decimal(usd)) == text
