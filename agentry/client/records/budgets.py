"""How much may be spent, by whom, and how that stands."""

from datetime import datetime
from decimal import Decimal

from agentry.client.records.base import Record


class BudgetStanding(Record, frozen=True, kw_only=True):
    """A limit in its current period. `limit_usd` is what holds now, with what it was raised by;
    `waiting` runs have asked for more."""

    limit_usd: Decimal | None = None
    spent_usd: Decimal = Decimal(0)
    reserved_usd: Decimal = Decimal(0)
    remaining_usd: Decimal | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    waiting: int = 0


class Budget(Record, frozen=True, kw_only=True):
    """`agent` or `user` says for whom, where it is not for the workspace."""

    name: str
    kind: str
    limit_usd: Decimal
    id: str = ""
    agent: str = ""
    user: str | None = None
    period: str = ""
    time_zone: str = "UTC"
    is_enabled: bool = True
    note: str = ""
    now: BudgetStanding = BudgetStanding()
    created_by: str = ""
    changed_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class BudgetBranch(Record, frozen=True, kw_only=True):
    """A place in the tree of limits; `run` where a run has a limit of its own."""

    kind: str
    title: str
    depth: int = 0
    whose: str = ""
    run: str | None = None
    now: BudgetStanding = BudgetStanding()


class BudgetTree(Record, frozen=True, kw_only=True):
    """Limits from the widest to the narrowest, in the order of the tree."""

    branches: tuple[BudgetBranch, ...] = ()
