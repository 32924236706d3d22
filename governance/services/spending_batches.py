"""Setting money aside for many model calls at once, as the runs of one process ask for it.

One transaction serves all that have room and were never asked before. Whatever is not so plain
goes the way of one call, which knows of calls asked again, lost answers and limits that are full.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from django.db import IntegrityError, transaction

from core.errors import DomainError
from core.ids import new_id
from core.pausepoints import reach
from governance.models import BudgetAccount, Reservation
from governance.services.spending import (
    ModelCall,
    Reserved,
    Shortfall,
    accounts_of_all,
    spending_reserve,
)
from governance.transitions import account_reserve, reservations_keep

Answer: TypeAlias = Reserved | Shortfall | DomainError | None
# In the order of the calls; those that are not among them go alone.
_Answers: TypeAlias = dict[int, Reserved | None]


class _OvertakenError(Exception):
    """Somebody else took the room meanwhile."""


def spending_reserve_many(calls: Sequence[ModelCall]) -> list[Answer]:
    """Do for each call what `spending_reserve` does; an error of one is its answer.

    As safe: reservations are written before accounts, accounts in the order of their ids, each by
    one conditional update of the sum. Where that finds no room, nothing is kept and each call asks
    by itself.
    """
    together = _reserved_together(calls) if len(calls) > 1 else {}
    return [
        together[index] if index in together else _reserved_alone(call)
        for index, call in enumerate(calls)
    ]


def _reserved_alone(call: ModelCall) -> Answer:
    try:
        return spending_reserve(call)
    except DomainError as error:
        return error


def _reserved_together(calls: Sequence[ModelCall]) -> _Answers:
    known = _known_places(calls)
    fresh = {
        index: call
        for index, call in enumerate(calls)
        if not call.may_be_again or (call.run_id, call.place) not in known
    }
    if not fresh:
        return {}
    accounts = dict(zip(fresh, accounts_of_all(list(fresh.values())), strict=True))
    answers: _Answers = {index: None for index, rows in accounts.items() if not rows}
    fitting, sums = _fitting(fresh, accounts)
    kept = {index: _reservation(fresh[index], accounts[index]) for index in fitting}
    if not kept:
        return answers
    try:
        with transaction.atomic():
            reservations_keep(list(kept.values()))
            for account in sorted(sums):
                reach("budget.before_reserve")
                if not account_reserve(account, sums[account]):
                    raise _OvertakenError
            reach("budget.before_commit")
    except (IntegrityError, _OvertakenError):
        return answers
    reach("budget.after_commit")
    for index, row in kept.items():
        rows = tuple(account.pk for account in accounts[index])
        answers[index] = Reserved(id=row.pk, usd=row.reserved_usd, accounts=rows)
    return answers


def _known_places(calls: Sequence[ModelCall]) -> set[tuple[UUID, int]]:
    """Return which of the calls somebody has set something aside for before."""
    runs = {call.run_id for call in calls if call.may_be_again}
    places = {call.place for call in calls if call.may_be_again}
    if not runs:
        return set()
    rows = Reservation.objects.filter(run_id__in=runs, place__in=places)
    return set(rows.values_list("run_id", "place"))


def _fitting(
    calls: Mapping[int, ModelCall], accounts: Mapping[int, Sequence[BudgetAccount]]
) -> tuple[list[int], Mapping[UUID, Decimal]]:
    """Return which calls have room one after the other, and what they take of each account."""
    taken: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    fitting = []
    for index, call in calls.items():
        rows = accounts[index]
        if not rows or not all(_has_room(row, taken[row.pk] + call.usd) for row in rows):
            continue
        fitting.append(index)
        for row in rows:
            taken[row.pk] += call.usd
    return fitting, {account: usd for account, usd in taken.items() if usd}


def _has_room(row: BudgetAccount, usd: Decimal) -> bool:
    remaining = row.figures.remaining_usd
    return remaining is None or remaining >= usd


def _reservation(call: ModelCall, accounts: Sequence[BudgetAccount]) -> Reservation:
    return Reservation(
        id=new_id(),
        workspace_id=call.workspace_id,
        run_id=call.run_id,
        place=call.place,
        fence=call.fence,
        model_name=call.model[:200],
        accounts=[str(account.pk) for account in accounts],
        reserved_usd=call.usd,
    )
