"""What a workspace spent."""

from datetime import datetime
from decimal import Decimal

from agentry.client.records.base import Record


class UsageSum(Record, frozen=True, kw_only=True):
    """Usage added up; it cost at least `cost_usd` where `is_floor` is true."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    is_floor: bool = False
    unknown_calls: int = 0
    unknown_input_tokens: int = 0
    unknown_output_tokens: int = 0


class CostRow(UsageSum, frozen=True, kw_only=True):
    """Usage of one cell; the dimensions that were not asked for are None."""

    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    user: str | None = None
    hour: datetime | None = None
    day: datetime | None = None
    hour_of_day: int | None = None


class Forecast(Record, frozen=True, kw_only=True):
    """What the whole month will cost; `method` says how that was found."""

    usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    days: int
    method: str


class Cost(Record, frozen=True, kw_only=True):
    """Amounts of a workspace. `counted_until` is None where everything is counted."""

    period: str
    since: datetime
    until: datetime
    total: UsageSum
    before: UsageSum
    today: UsageSum
    month: UsageSum
    counted_until: datetime | None = None
    unknown_usd: Decimal = Decimal(0)
    forecast: Forecast | None = None
    by: tuple[str, ...] = ()
    rows: tuple[CostRow, ...] = ()
    rows_left_out: int = 0
