"""What the month will cost: arithmetic on the days before, which says how sure it is."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

MIN_DAYS: Final = 3
MAX_DAYS: Final = 14
_EIGHT_OF_TEN: Final = Decimal("1.2816")  # standard deviations on either side of a normal mean
_CENT: Final = Decimal("0.01")
_DAY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Dollars of the whole month; `days` complete days were looked at."""

    usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    days: int

    @property
    def method(self) -> str:
        return (
            "What was spent this month, and for the rest of it the average of the last "
            f"{self.days} complete days (UTC). The range holds 8 times in 10, if days go on to "
            "differ as much as those did."
        )


def forecast_of(
    days: Mapping[date, Decimal], *, month_usd: Decimal, now: datetime
) -> Forecast | None:
    """Forecast the month `now` lies in, from what each day cost; None from too few days.

    Days count from the first on which anything was spent, at most the last two weeks; today does
    not, for it is not over.
    """
    today = now.date()
    begun = min((day for day, usd in days.items() if usd), default=today)
    first = max(begun, today - timedelta(days=MAX_DAYS))
    count = (today - first).days
    if count < MIN_DAYS:
        return None
    spent = [days.get(first + timedelta(days=each), Decimal(0)) for each in range(count)]
    mean = sum(spent, Decimal(0)) / count
    variance = sum(((usd - mean) ** 2 for usd in spent), Decimal(0)) / (count - 1)
    left = _days_left(now)
    # The rest of the month varies as its days do, and the average of so few days is unsure itself.
    spread = _EIGHT_OF_TEN * (variance * (left + left * left / count)).sqrt()
    expected = month_usd + mean * left
    return Forecast(
        usd=expected.quantize(_CENT),
        low_usd=max(month_usd, expected - spread).quantize(_CENT),
        high_usd=(expected + spread).quantize(_CENT),
        days=count,
    )


def _days_left(now: datetime) -> Decimal:
    last = calendar.monthrange(now.year, now.month)[1]
    past = now.hour * 3_600 + now.minute * 60 + now.second
    return Decimal(last - now.day) + 1 - Decimal(past) / _DAY_SECONDS
