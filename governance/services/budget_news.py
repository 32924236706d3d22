"""News of budgets: most of one is spent, or all of it; each once in a period.

Another limit begins anew where it takes the budget below a mark again. What is told are amounts and
names, and nothing of what runs said.
"""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from core import clock
from core.pausepoints import reach
from governance.budgets import dollars
from governance.contracts import ChannelEvent, Perm
from governance.models import BudgetAccount
from governance.selectors.budgets import waiting_by_account
from governance.services.news import news_write

WARNING_PERCENT: Final = 80
ALL_PERCENT: Final = 100
_EVENTS: Final = {
    WARNING_PERCENT: ChannelEvent.BUDGET_WARNING,
    ALL_PERCENT: ChannelEvent.BUDGET_EXHAUSTED,
}


def budgets_tell() -> int:
    """Write down messages of budgets that came to a mark; returns how many are new.

    Safe to run at once elsewhere: which mark was told is moved on by one conditional update, in
    the transaction that writes the messages.
    """
    waiting = waiting_by_account()
    written = 0
    for row in _changed(waiting):
        reached = _reached(row, waiting.get(row.pk, 0))
        if reached == row.told_percent:
            continue
        reach("budget.before_note")
        with transaction.atomic():
            same = BudgetAccount.objects.filter(pk=row.pk, told_percent=row.told_percent)
            if same.update(told_percent=reached) and reached > row.told_percent:
                written += _tell(row, reached, waiting.get(row.pk, 0))
    return written


def _changed(waiting: Collection[UUID]) -> list[BudgetAccount]:
    """Return the accounts of current periods whose mark may not be what was told last."""
    over = Q(ends_at__isnull=False, ends_at__lte=clock.now())
    rows = BudgetAccount.objects.filter(budget__is_enabled=True, limit_usd__isnull=False).exclude(
        over
    )
    is_near = Q(spent_usd__gte=F("limit_usd") * WARNING_PERCENT / ALL_PERCENT)
    news = Q(told_percent__lt=ALL_PERCENT) & (is_near | Q(pk__in=waiting))
    raised = Q(told_percent__gt=0, spent_usd__lt=F("limit_usd"))
    return list(rows.filter(news | raised).select_related("budget__user", "workspace"))


def _reached(row: BudgetAccount, waiting: int) -> int:
    """Return the mark a budget is at. It is all spent, too, when a run waits because what is left
    is not enough for its next call."""
    assert row.limit_usd is not None
    if waiting or row.spent_usd >= row.limit_usd:
        return ALL_PERCENT
    is_near = row.spent_usd * ALL_PERCENT >= row.limit_usd * WARNING_PERCENT
    return WARNING_PERCENT if is_near else 0


def _tell(row: BudgetAccount, percent: int, waiting: int) -> int:
    event = _EVENTS[percent]
    return news_write(
        event,
        workspace=row.workspace,
        key=f"{row.pk}:{row.limit_usd}",
        payload=_payload(row, event, percent, waiting),
        needed=Perm.BUDGET_EDIT,
        wishing=Perm.BUDGET_VIEW,
    )


def _payload(row: BudgetAccount, event: ChannelEvent, percent: int, waiting: int) -> dict[str, Any]:
    budget, limit = row.budget, row.limit_usd
    assert budget is not None
    assert limit is not None
    site = settings.PUBLIC_URL.rstrip("/")
    how = f"{WARNING_PERCENT} % of the budget" if percent < ALL_PERCENT else "The budget"
    return {
        "workspace": row.workspace.name,
        "title": f"{how} {budget.name} of the {budget.whose} is spent",
        "budget": budget.name,
        "whose": budget.whose,
        "period": budget.period,
        "percent": percent,
        "code": event.value,
        "limit_usd": f"{limit:f}",
        "spent_usd": f"{row.spent_usd:f}",
        "reserved_usd": f"{row.reserved_usd:f}",
        "waiting": waiting,
        "sentence": f"{dollars(row.spent_usd)} of {dollars(limit)} ({budget.period})"
        + (f"; {waiting} run(s) wait for more." if waiting else "."),
        "at": clock.now().isoformat(timespec="seconds"),
        "link": f"{site}/admin/governance/budget/{budget.pk}/change/" if site else "",
    }
