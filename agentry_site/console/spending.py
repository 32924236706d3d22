"""What the overview says of money: what today's runs have cost, and how much may be spent a day."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.core.cache import cache
from django.db.models import Count, Q, Sum

from agents.selectors.run_filters import RunFilters
from agents.selectors.run_finding import runs_found
from core import clock
from governance.contracts import Actor, BudgetKind, BudgetPeriod
from governance.selectors.budgets import budget_list, budgets_standing

KEPT_SECONDS: Final = 15  # everybody's overview asks every few seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """`is_partial`: some calls had no known price. `limit_usd`: of the budgets of a day, if any."""

    since: datetime
    usd: Decimal
    is_partial: bool
    limit_usd: Decimal | None


def spent_today(actor: Actor) -> Spent:
    """Return what the runs that began today (UTC) have cost, where the actor may see them."""
    key = f"overview-spent:{actor.user_id}:{actor.token_id}"
    known: Spent | None = cache.get(key)
    since = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    if known is None or known.since != since:
        known = _spent(actor, since)
        cache.set(key, known, KEPT_SECONDS)
    return known


def _spent(actor: Actor, since: datetime) -> Spent:
    sums = (
        runs_found(actor, RunFilters(since=since))
        .runs.exclude(cost_usd=0, cost_is_partial=False)
        .aggregate(usd=Sum("cost_usd"), partial=Count("pk", filter=Q(cost_is_partial=True)))
    )
    return Spent(
        since=since,
        usd=sums["usd"] or Decimal(0),
        is_partial=bool(sums["partial"]),
        limit_usd=_daily_limit(actor),
    )


def _daily_limit(actor: Actor) -> Decimal | None:
    """Return what the workspaces the actor sees may spend a day, of those that have a budget."""
    rows = list(
        budget_list(actor).filter(
            kind=BudgetKind.WORKSPACE.value, period=BudgetPeriod.DAY.value, is_enabled=True
        )
    )
    limits = [each.figures.limit_usd for each in budgets_standing(rows).values()]
    known = [limit for limit in limits if limit is not None]
    return sum(known, Decimal(0)) if known else None
