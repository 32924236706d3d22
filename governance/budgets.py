"""The arithmetic of budgets: when a period begins and ends, and what is left of a limit."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_CEILING, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from governance.contracts import BudgetPeriod

# Where the one period of a budget without an end begins.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LARGEST_USD = Decimal(10_000_000)
_CENT = Decimal("0.01")
_LEAST_PART = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One period: from its beginning to just before its end; None: it has no end."""

    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What stands against a limit; `limit_usd` None: nothing bounds it."""

    limit_usd: Decimal | None
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)

    @property
    def remaining_usd(self) -> Decimal | None:
        """What can still be reserved, never less than nothing."""
        if self.limit_usd is None:
            return None
        return max(self.limit_usd - self.spent_usd - self.reserved_usd, Decimal(0))

    def part(self, usd: Decimal) -> float:
        """Return which part of the limit an amount is, from 0 to 1."""
        if not self.limit_usd:
            return 1.0 if usd else 0.0
        return float(min(max(usd / self.limit_usd, Decimal(0)), Decimal(1)))


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name.

    Raises:
        ValueError: There is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"There is no time zone {name!r}.") from error


def span_of(period: BudgetPeriod, at: datetime, zone: ZoneInfo) -> Span:
    """Return the period that a moment is in; days begin at midnight of the zone."""
    if period is BudgetPeriod.TOTAL:
        return Span(starts_at=BEGINNING, ends_at=None)
    first = at.astimezone(zone).date()
    if period is BudgetPeriod.DAY:
        after = first + timedelta(days=1)
    elif period is BudgetPeriod.WEEK:
        first -= timedelta(days=first.weekday())
        after = first + timedelta(days=7)
    else:
        first = first.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    midnights = (datetime.combine(day, time(), tzinfo=zone) for day in (first, after))
    starts_at, ends_at = (midnight.astimezone(UTC) for midnight in midnights)
    return Span(starts_at=starts_at, ends_at=ends_at)


def suggested_raise(figures: Figures, needed_usd: Decimal) -> Decimal:
    """Return whole cents that let the next call happen, and at least a tenth of the limit."""
    limit = figures.limit_usd or Decimal(0)
    lacking = figures.spent_usd + figures.reserved_usd + needed_usd - limit
    wanted = max(lacking, limit * _LEAST_PART, _CENT)
    return wanted.quantize(_CENT, rounding=ROUND_CEILING)


def dollars(usd: Decimal) -> str:
    """Write an amount for people: cents, and as many places more as it takes to say it."""
    cents = usd.quantize(_CENT)
    return f"${cents}" if cents == usd else f"${usd.normalize():f}"
