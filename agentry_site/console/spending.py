"""What the overview says of money: what today's runs have cost, and how much may be spent a day."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

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
    """`is_partial`: some calls had no known price.

    `limit_usd` is what all workspaces that spent may spend a day, if each of them has a budget;
    `is_over`: one of them has spent what it may.
    """

    since: datetime
    usd: Decimal
    is_partial: bool
    limit_usd: Decimal | None
    is_over: bool


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
    sums = list(
        runs_found(actor, RunFilters(since=since))
        .runs.exclude(cost_usd=0, cost_is_partial=False)
        .order_by()
        .values("workspace_id")
        .annotate(usd=Sum("cost_usd"), partial=Count("pk", filter=Q(cost_is_partial=True)))
    )
    spent: dict[UUID, Decimal] = {each["workspace_id"]: each["usd"] for each in sums}
    limits = _daily_limits(actor)
    is_bounded = bool(limits) and spent.keys() <= limits.keys()
    return Spent(
        since=since,
        usd=sum(spent.values(), Decimal(0)),
        is_partial=any(each["partial"] for each in sums),
        limit_usd=sum(limits.values(), Decimal(0)) if is_bounded else None,
        is_over=any(usd >= limits[pk] for pk, usd in spent.items() if pk in limits),
    )


def _daily_limits(actor: Actor) -> dict[UUID, Decimal]:
    """Return what workspaces may spend a day, where the actor sees a budget that says it."""
    rows = list(
        budget_list(actor).filter(
            kind=BudgetKind.WORKSPACE.value, period=BudgetPeriod.DAY.value, is_enabled=True
        )
    )
    standings = budgets_standing(rows)
    limits: dict[UUID, Decimal] = {}
    for row in rows:
        limit = standings[row.pk].figures.limit_usd
        if limit is not None:
            limits[row.workspace_id] = min(limit, limits.get(row.workspace_id, limit))
    return limits
