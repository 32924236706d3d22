"""Spending: money is set aside in every budget that applies before a model is asked, or in none.

A worker reserves here. What the call cost is settled by the journal, in the commit that carries
the answer, so that no crash comes between the two. What nobody will settle any more is given back
by a sweep.
"""

import contextlib
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from core import clock
from core.pausepoints import reach
from governance.budgets import Figures, Span, span_of, zone_of
from governance.contracts import BudgetKind, BudgetPeriod, ReservationState
from governance.models import Budget, BudgetAccount, Reservation
from governance.transitions import account_reserve, reservation_keep, reservation_release


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """A model call that is about to happen, and what it may cost at most.

    `payers` are its run and those above it, whose own limits count too. `place` numbers the calls
    of a run and is the same when a call is asked again, which `may_be_again` says can be so.
    """

    workspace_id: UUID
    run_id: UUID
    place: int
    fence: int
    agent: str
    user_id: UUID | None
    payers: Sequence[UUID]
    model: str
    usd: Decimal
    may_be_again: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Money that is set aside, and where; whoever writes the answer settles it."""

    id: UUID
    usd: Decimal
    accounts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """The limit that has no room for a call; `name` says which one it is, `title` says more."""

    account_id: UUID
    name: str
    title: str
    figures: Figures
    needed_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCap:
    """The limit of one run, which holds for all it delegates too; `spent_usd` so far."""

    workspace_id: UUID
    run_id: UUID
    root_id: UUID
    agent: str
    limit_usd: Decimal
    spent_usd: Decimal = Decimal(0)


class _FullError(Exception):
    """Undoes what was set aside in other accounts already."""


def spending_reserve(call: ModelCall) -> Reserved | Shortfall | None:
    """Set the most a call may cost aside in all accounts that apply; None: no limit applies.

    Safe under any concurrency: accounts are taken in the order of their ids, each by one
    conditional update, and one that is full undoes the others. A call that is asked again
    replaces what was set aside for it before.

    Raises:
        LeaseLostError: The call was asked again under a newer claim of its run, or is settled.
    """
    if call.may_be_again:
        _replace(call)
    try:
        return _reserve(call)
    except IntegrityError:
        if call.may_be_again:
            raise
        # Something is set aside for this call: the answer to an earlier attempt was lost.
        return spending_reserve(dataclasses.replace(call, may_be_again=True))


def _reserve(call: ModelCall) -> Reserved | Shortfall | None:
    while accounts := accounts_of(call):
        kept = _reserved_in(call, accounts)
        if isinstance(kept, Reserved):
            reach("budget.after_commit")
            return kept
        if kept is not None:
            return kept
    return None


def _reserved_in(call: ModelCall, accounts: Sequence[BudgetAccount]) -> Reserved | Shortfall | None:
    """Reserve in all of them; None: one of them is gone, with its budget."""
    full: BudgetAccount | None = None
    with contextlib.suppress(_FullError), transaction.atomic():
        kept = reservation_keep(
            call.run_id,
            call.place,
            may_exist=call.may_be_again,
            workspace_id=call.workspace_id,
            fence=call.fence,
            model_name=call.model[:200],
            accounts=[str(account.pk) for account in accounts],
            reserved_usd=call.usd,
        )
        for account in accounts:
            reach("budget.before_reserve")
            if not account_reserve(account.pk, call.usd):
                full = account
                raise _FullError
        reach("budget.before_commit")
    if full is None:
        return Reserved(id=kept, usd=call.usd, accounts=tuple(account.pk for account in accounts))
    row = BudgetAccount.objects.select_related("budget__user").filter(pk=full.pk).first()
    if row is None:
        return None
    return Shortfall(
        account_id=row.pk,
        name=account_name(row),
        title=account_title(row),
        figures=row.figures,
        needed_usd=call.usd,
    )


def _replace(call: ModelCall) -> None:
    """Give back what an earlier worker has set aside for this very call and never settled."""
    earlier = Reservation.objects.filter(
        run_id=call.run_id,
        place=call.place,
        fence__lte=call.fence,
        state=ReservationState.RESERVED.value,
    )
    for row in earlier:
        with transaction.atomic():
            reservation_release(row)


def accounts_of(call: ModelCall) -> list[BudgetAccount]:
    """Return what a call counts against now, by id; what begins with it is made."""
    return accounts_of_all([call])[0]


def accounts_of_all(calls: Sequence[ModelCall]) -> list[list[BudgetAccount]]:
    """Return for each call what it counts against now, by id; what begins with them is made."""
    now = clock.now()
    budgets = _budgets_of(calls)
    spans = {
        budget.pk: span_of(BudgetPeriod(budget.period), now, zone_of(budget.time_zone))
        for budget in budgets
    }
    found = _accounts(calls, spans)
    missing = [budget for budget in budgets if budget.pk not in found.of_budgets]
    if missing:
        try:
            BudgetAccount.objects.bulk_create(
                [_new_account(budget, spans[budget.pk]) for budget in missing],
                ignore_conflicts=True,
            )
        except IntegrityError:
            return accounts_of_all(calls)  # a budget was deleted since it was read
        found = _accounts(calls, spans)
    return [found.of(call, budgets) for call in calls]


def _budgets_of(calls: Sequence[ModelCall]) -> list[Budget]:
    """Return the budgets that any of the calls counts against, and perhaps others beside them."""
    theirs = (
        Q(kind=BudgetKind.WORKSPACE.value)
        | Q(kind=BudgetKind.AGENT.value, agent_name__in={call.agent for call in calls})
        | Q(kind=BudgetKind.USER.value, user_id__in={call.user_id for call in calls} - {None})
    )
    workspaces = {call.workspace_id for call in calls}
    return list(Budget.objects.filter(theirs, workspace_id__in=workspaces, is_enabled=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accounts:
    """Accounts of budgets in their periods, and of runs that have limits of their own."""

    of_budgets: Mapping[UUID, BudgetAccount]
    of_runs: Mapping[UUID, BudgetAccount]

    def of(self, call: ModelCall, budgets: Collection[Budget]) -> list[BudgetAccount]:
        rows = [
            self.of_budgets[budget.pk]
            for budget in budgets
            if _bounds(budget, call) and budget.pk in self.of_budgets
        ]
        rows += [self.of_runs[run_id] for run_id in call.payers if run_id in self.of_runs]
        return sorted(rows, key=lambda row: row.pk)


def _bounds(budget: Budget, call: ModelCall) -> bool:
    if budget.workspace_id != call.workspace_id:
        return False
    if budget.kind == BudgetKind.AGENT.value:
        return budget.agent_name == call.agent
    if budget.kind == BudgetKind.USER.value:
        return budget.user_id == call.user_id
    return True


def _accounts(calls: Sequence[ModelCall], spans: Mapping[UUID, Span]) -> _Accounts:
    payers = {run_id for call in calls for run_id in call.payers}
    starts = {span.starts_at for span in spans.values()}
    rows = BudgetAccount.objects.filter(
        Q(run_id__in=payers, limit_usd__isnull=False) | Q(budget_id__in=spans, starts_at__in=starts)
    )
    return _Accounts(
        of_budgets={
            row.budget_id: row
            for row in rows
            if row.budget_id is not None and row.starts_at == spans[row.budget_id].starts_at
        },
        of_runs={row.run_id: row for row in rows if row.run_id is not None},
    )


def _new_account(budget: Budget, span: Span) -> BudgetAccount:
    return BudgetAccount(
        workspace_id=budget.workspace_id,
        budget=budget,
        agent_name=budget.agent_name,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        limit_usd=budget.limit_usd,
    )


def account_now(budget: Budget) -> BudgetAccount:
    """Return the account of the current period, made where nothing was reserved in it yet."""
    span = span_of(BudgetPeriod(budget.period), clock.now(), zone_of(budget.time_zone))
    BudgetAccount.objects.bulk_create([_new_account(budget, span)], ignore_conflicts=True)
    return BudgetAccount.objects.get(budget=budget, starts_at=span.starts_at)


def run_caps_open(caps: Sequence[RunCap]) -> None:
    """Open the accounts of runs that have limits of their own, where they have none yet."""
    now = clock.now()
    BudgetAccount.objects.bulk_create(
        [
            BudgetAccount(
                workspace_id=cap.workspace_id,
                run_id=cap.run_id,
                root_id=cap.root_id,
                agent_name=cap.agent,
                starts_at=now,
                limit_usd=cap.limit_usd,
                spent_usd=cap.spent_usd,
            )
            for cap in caps
        ],
        ignore_conflicts=True,
    )


def run_cap_set(run_id: UUID, limit_usd: Decimal | None) -> None:
    """Write down another limit of a run, or that it has none; called where its limits change."""
    BudgetAccount.objects.filter(run_id=run_id).update(limit_usd=limit_usd, updated_at=clock.now())


def reservations_release(rows: Sequence[Reservation]) -> int:
    """Give back what nobody may settle any more; returns how many. Each is a move by itself."""
    released = 0
    for row in rows:
        with transaction.atomic():
            released += reservation_release(row)
    return released


def account_name(row: BudgetAccount) -> str:
    """Name what an account bounds, as part of a sentence."""
    if row.budget is None:
        return f"the limit of the run {str(row.run_id)[-8:]} of {row.agent_name}"
    return f"the budget {row.budget.name}"


def account_title(row: BudgetAccount) -> str:
    """Name what an account bounds, and for whom and how long, as part of a sentence."""
    if row.budget is None:
        return account_name(row)
    period = "" if row.ends_at is None else f" ({row.budget.period})"
    return f"{account_name(row)} of the {row.budget.whose}{period}"
