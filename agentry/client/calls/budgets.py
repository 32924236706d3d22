"""Requests about budgets."""

from decimal import Decimal

from agentry.client.calls.shape import body, in_workspace, new_key, nothing, query, reads
from agentry.client.flow import Call
from agentry.client.records import Budget, BudgetTree, Page

_BUDGET = reads(Budget)
_BUDGETS = reads(Page[Budget])
_TREE = reads(BudgetTree)


def budgets(
    *,
    kind: str | None = None,
    agent: str | None = None,
    user: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[Budget]]:
    return Call(
        method="GET",
        path=in_workspace("budgets"),
        query=query(kind=kind, agent=agent, user=user, limit=limit, cursor=cursor),
        read=_BUDGETS,
    )


def budget(name: str) -> Call[Budget]:
    return Call(method="GET", path=in_workspace("budgets", name), read=_BUDGET)


def budget_tree() -> Call[BudgetTree]:
    """Limits from the widest to the narrowest, with those of runs."""
    return Call(method="GET", path=in_workspace("budget-tree"), read=_TREE)


def budget_create(
    name: str,
    *,
    kind: str,
    limit_usd: Decimal | str,
    agent: str | None = None,
    user: str | None = None,
    period: str | None = None,
    time_zone: str | None = None,
    is_enabled: bool | None = None,
    note: str | None = None,
) -> Call[Budget]:
    """A new budget; it counts what is asked from then on."""
    return Call(
        method="POST",
        path=in_workspace("budgets"),
        body=body(
            name=name,
            kind=kind,
            limit_usd=str(limit_usd),
            agent=agent,
            user=user,
            period=period,
            time_zone=time_zone,
            is_enabled=is_enabled,
            note=note,
        ),
        read=_BUDGET,
        idempotency_key=new_key(),
    )


def budget_update(
    name: str,
    *,
    limit_usd: Decimal | str | None = None,
    is_enabled: bool | None = None,
    note: str | None = None,
) -> Call[Budget]:
    """Change what is given; another limit holds at once."""
    return Call(
        method="PATCH",
        path=in_workspace("budgets", name),
        body=body(
            limit_usd=None if limit_usd is None else str(limit_usd),
            is_enabled=is_enabled,
            note=note,
        ),
        read=_BUDGET,
        idempotency_key=new_key(),
    )


def budget_increase(name: str, *, by_usd: Decimal | str, reason: str | None = None) -> Call[Budget]:
    """Give the current period more; runs that wait for room go on where there is some."""
    return Call(
        method="POST",
        path=in_workspace("budgets", name, "raise"),
        body=body(by_usd=str(by_usd), reason=reason),
        read=_BUDGET,
        idempotency_key=new_key(),
    )


def budget_delete(name: str) -> Call[None]:
    """Take it away, with what was counted against it."""
    return Call(
        method="DELETE",
        path=in_workspace("budgets", name),
        read=nothing,
        idempotency_key=new_key(),
    )
