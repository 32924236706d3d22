"""Budgets: which there are, how they stand, and what waits for room in one."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from core import clock
from governance import access
from governance.budgets import Figures, Span, span_of, zone_of
from governance.contracts import (
    Actor,
    ApprovalKind,
    ApprovalState,
    BudgetKind,
    BudgetPeriod,
    Perm,
    ReservationState,
)
from governance.models import Approval, Budget, BudgetAccount, Reservation, Workspace

MAX_CAPS = 50
CAPS_SHOWN_FOR = timedelta(days=1)
_ORDER = {kind.value: place for place, kind in enumerate(BudgetKind)}


def budget_list(actor: Actor, workspace: Workspace | None = None) -> QuerySet[Budget]:
    rows = Budget.objects.select_related("workspace", "user")
    if workspace is not None:
        rows = rows.filter(workspace=workspace)
    return access.scope(actor, Perm.BUDGET_VIEW, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget in its current period. `waiting` counts the runs that have asked for more."""

    span: Span
    figures: Figures
    account_id: UUID | None
    waiting: int = 0


def budgets_standing(budgets: Iterable[Budget]) -> dict[UUID, Standing]:
    """Return how budgets stand now, by their ids; for whoever has scoped them."""
    now = clock.now()
    spans = {
        row.pk: span_of(BudgetPeriod(row.period), now, zone_of(row.time_zone)) for row in budgets
    }
    current = Q(pk__in=())
    for budget_id, span in spans.items():
        current |= Q(budget_id=budget_id, starts_at=span.starts_at)
    accounts = {row.budget_id: row for row in BudgetAccount.objects.filter(current)}
    waiting = waiting_by_account([row.pk for row in accounts.values()])
    return {row.pk: _standing(row, spans[row.pk], accounts.get(row.pk), waiting) for row in budgets}


def _standing(
    budget: Budget, span: Span, account: BudgetAccount | None, waiting: dict[UUID, int]
) -> Standing:
    if account is None:
        return Standing(span=span, figures=Figures(limit_usd=budget.limit_usd), account_id=None)
    return Standing(
        span=span,
        figures=account.figures,
        account_id=account.pk,
        waiting=waiting.get(account.pk, 0),
    )


def waiting_by_account(accounts: Collection[UUID] | None = None) -> dict[UUID, int]:
    """Return how many runs have asked for more of accounts; None: of all there are."""
    asked = _raises_asked()
    if accounts is not None:
        asked = asked.filter(binding__account__in=[str(pk) for pk in accounts])
    counts: dict[UUID, int] = {}
    for account in asked.values_list("binding__account", flat=True):
        counts[UUID(account)] = counts.get(UUID(account), 0) + 1
    return counts


def _raises_asked() -> QuerySet[Approval]:
    return Approval.objects.filter(
        kind=ApprovalKind.BUDGET_RAISE.value, state=ApprovalState.PENDING.value
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A place in the tree of limits: a budget, or a run that has a limit of its own."""

    kind: str
    title: str
    depth: int
    standing: Standing
    budget: Budget | None = None
    run_id: UUID | None = None


def budget_tree(actor: Actor, workspace: Workspace) -> list[Branch]:
    """Return the limits of a workspace from the widest to the narrowest, in the order of a tree:
    the workspace's, below it those of agents and users, below an agent's its runs' own of late."""
    budgets = sorted(
        budget_list(actor, workspace), key=lambda row: (_ORDER[row.kind], row.whose, row.name)
    )
    standings = budgets_standing(budgets)
    caps = _caps(actor, workspace)
    has_top = any(row.kind == BudgetKind.WORKSPACE.value for row in budgets)
    branches: list[Branch] = []
    shown: set[UUID] = set()
    for place, row in enumerate(budgets):
        depth = 0 if row.kind == BudgetKind.WORKSPACE.value or not has_top else 1
        branches.append(
            Branch(
                kind=row.kind, title=row.name, depth=depth, standing=standings[row.pk], budget=row
            )
        )
        is_last = place + 1 == len(budgets) or budgets[place + 1].whose != row.whose
        if row.kind == BudgetKind.AGENT.value and is_last:
            theirs = [cap for cap in caps if cap.agent_name == row.agent_name]
            shown |= {cap.pk for cap in theirs}
            branches += [_of_run(cap, depth + 1) for cap in theirs]
    rest = [cap for cap in caps if cap.pk not in shown]
    return branches + [_of_run(cap, 1 if has_top else 0) for cap in rest]


def _caps(actor: Actor, workspace: Workspace) -> list[BudgetAccount]:
    lately = clock.now() - CAPS_SHOWN_FOR
    rows = BudgetAccount.objects.filter(
        workspace=workspace, run_id__isnull=False, limit_usd__isnull=False, updated_at__gt=lately
    )
    return list(access.scope(actor, Perm.BUDGET_VIEW, rows).order_by("-updated_at")[:MAX_CAPS])


def _of_run(cap: BudgetAccount, depth: int) -> Branch:
    return Branch(
        kind="run",
        title=cap.agent_name,
        depth=depth,
        standing=Standing(
            span=Span(starts_at=cap.starts_at, ends_at=None),
            figures=cap.figures,
            account_id=cap.pk,
        ),
        run_id=cap.run_id,
    )


# --- for workers ----------------------------------------------------------------------------------


def workspaces_budgeted(workspace_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the workspaces that have a budget which counts."""
    rows = Budget.objects.filter(workspace_id__in=workspace_ids, is_enabled=True)
    return set(rows.values_list("workspace_id", flat=True))


def roots_capped(root_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the trees of runs in which a run has a limit of its own."""
    rows = BudgetAccount.objects.filter(root_id__in=root_ids, limit_usd__isnull=False)
    return {root_id for root_id in rows.values_list("root_id", flat=True) if root_id is not None}


def runs_capped(run_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the runs that have an account, also one whose limit was taken away."""
    rows = BudgetAccount.objects.filter(run_id__in=run_ids)
    return {run_id for run_id in rows.values_list("run_id", flat=True) if run_id is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run at rest has asked for, and of which account."""

    account_id: UUID
    needed_usd: Decimal


def raises_asked(run_ids: Collection[UUID]) -> dict[UUID, Wanted]:
    """Return what runs have asked for and nobody has decided, by the run."""
    rows = _raises_asked().filter(subject_id__in=run_ids).values_list("subject_id", "binding")
    return {
        run_id: Wanted(account_id=UUID(facts["account"]), needed_usd=Decimal(facts["needed_usd"]))
        for run_id, facts in rows
    }


def accounts_room(account_ids: Collection[UUID]) -> dict[UUID, Decimal]:
    """Return how much can be reserved in accounts that bound anything now.

    One of a period that is over, of a budget that is off or gone, or without a limit is left out.
    """
    over = Q(ends_at__isnull=False, ends_at__lte=clock.now())
    rows = BudgetAccount.objects.filter(pk__in=account_ids, limit_usd__isnull=False).exclude(over)
    rows = rows.filter(Q(budget=None) | Q(budget__is_enabled=True))
    return {
        row.pk: (row.limit_usd or Decimal(0)) - row.spent_usd - row.reserved_usd for row in rows
    }


def reservations_open(limit: int) -> Sequence[Reservation]:
    """Return what is set aside at this moment, the oldest first."""
    rows = Reservation.objects.filter(state=ReservationState.RESERVED.value)
    return list(rows.order_by("created_at")[:limit])
