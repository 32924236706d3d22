"""Moves of approvals, deliveries, grants and reservations: what may follow what, and one
conditional UPDATE."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q, Value
from django.db.models.functions import Round

from core import clock
from core.errors import LeaseLostError
from core.state import StateTable
from governance.budgets import LARGEST_USD
from governance.contracts import ApprovalState, DeliveryState, GrantState, ReservationState
from governance.models import Approval, BudgetAccount, Delivery, Grant, Reservation

S = ApprovalState
APPROVAL_TABLE: StateTable[ApprovalState] = StateTable(
    name="approval",
    states=ApprovalState,
    initial=S.PENDING,
    edges={
        S.PENDING: frozenset({S.APPROVED, S.DENIED, S.EXPIRED, S.WITHDRAWN}),
        S.APPROVED: frozenset(),
        S.DENIED: frozenset(),
        S.EXPIRED: frozenset(),
        S.WITHDRAWN: frozenset(),
    },
)


def approvals_move(where: Q, *, target: ApprovalState, **fields: Any) -> int:
    """Move the approvals `where` holds for to `target`; return how many.

    Of several movers one wins: the states they may come from are part of the UPDATE.
    """
    sources = [state.value for state in APPROVAL_TABLE.sources(target)]
    rows = Approval.objects.filter(where, state__in=sources)
    return rows.update(state=target.value, **fields)


D = DeliveryState
DELIVERY_TABLE: StateTable[DeliveryState] = StateTable(
    name="delivery",
    states=DeliveryState,
    initial=D.PENDING,
    edges={
        D.PENDING: frozenset({D.DELIVERED, D.FAILED}),
        D.DELIVERED: frozenset({D.PENDING}),  # somebody sends it again
        D.FAILED: frozenset({D.PENDING}),
    },
)


def deliveries_move(where: Q, *, target: DeliveryState, **fields: Any) -> int:
    """Move the deliveries `where` holds for to `target`; return how many."""
    sources = [state.value for state in DELIVERY_TABLE.sources(target)]
    rows = Delivery.objects.filter(where, state__in=sources)
    return rows.update(state=target.value, lease_until=None, **fields)


G = GrantState
GRANT_TABLE: StateTable[GrantState] = StateTable(
    name="grant",
    states=GrantState,
    initial=G.ACTIVE,
    edges={
        G.ACTIVE: frozenset({G.USED_UP, G.EXPIRED, G.CHANGED, G.REVOKED}),
        G.USED_UP: frozenset(),
        G.EXPIRED: frozenset(),
        G.CHANGED: frozenset(),
        G.REVOKED: frozenset(),
    },
)


def grants_move(where: Q, *, target: GrantState, **fields: Any) -> int:
    """End the grants `where` holds for; return how many. Of several movers one wins."""
    sources = [state.value for state in GRANT_TABLE.sources(target)]
    rows = Grant.objects.filter(where, state__in=sources)
    return rows.update(state=target.value, **fields)


R = ReservationState
RESERVATION_TABLE: StateTable[ReservationState] = StateTable(
    name="reservation",
    states=ReservationState,
    initial=R.RESERVED,
    edges={
        R.RESERVED: frozenset({R.SETTLED, R.RELEASED}),
        R.SETTLED: frozenset(),
        R.RELEASED: frozenset({R.RESERVED}),  # the same call is asked again
    },
)
_PLACES = 8  # of an amount; SQLite adds in binary, which rounding takes back


def account_reserve(account_id: UUID, usd: Decimal) -> bool:
    """Set an amount aside where the limit leaves room for it; of many at once no more fit."""
    room = Round(F("limit_usd") - F("spent_usd") - F("reserved_usd"), _PLACES)
    rows = BudgetAccount.objects.filter(pk=account_id).alias(room=room)
    fits = rows.filter(Q(limit_usd=None) | Q(room__gte=usd))
    return bool(
        fits.update(
            reserved_usd=Round(F("reserved_usd") + Value(usd), _PLACES), updated_at=clock.now()
        )
    )


def reservation_keep(run_id: UUID, place: int, *, may_exist: bool, **fields: Any) -> UUID:
    """Write down what a call sets aside; one that was given back is asked again.

    Raises:
        IntegrityError: It was said not to exist, and does.
        LeaseLostError: It was set aside under a newer claim of the run, or is settled.
    """
    made = {"created_at": clock.now(), "settled_at": None, "charged_usd": None, **fields}
    made["state"] = R.RESERVED.value
    if not may_exist:
        return Reservation.objects.create(run_id=run_id, place=place, **made).pk
    row, is_new = Reservation.objects.get_or_create(run_id=run_id, place=place, defaults=made)
    if not is_new:
        sources = [state.value for state in RESERVATION_TABLE.sources(R.RESERVED)]
        again = Reservation.objects.filter(pk=row.pk, fence__lte=made["fence"], state__in=sources)
        if not again.update(**made):
            raise LeaseLostError(f"The call {place} of the run {run_id} is another worker's now.")
    return row.pk


def reservations_keep(rows: Sequence[Reservation]) -> None:
    """Write down what calls set aside of which nobody has heard before.

    Raises:
        IntegrityError: Of one of them somebody has.
    """
    now = clock.now()
    for row in rows:
        row.state, row.created_at = R.RESERVED.value, now
    Reservation.objects.bulk_create(rows)


def reservation_release(row: Reservation) -> bool:
    """Give back what a call has set aside, once: its fence and state are part of the UPDATE.

    Called in a transaction. Reservations are locked before accounts, and these by their ids.
    """
    sources = [state.value for state in RESERVATION_TABLE.sources(R.RELEASED)]
    same = Reservation.objects.filter(pk=row.pk, fence=row.fence, state__in=sources)
    if not same.update(state=R.RELEASED.value, settled_at=clock.now()):
        return False
    for account_id in sorted(_ids(row.accounts)):
        BudgetAccount.objects.filter(pk=account_id).update(
            reserved_usd=Round(F("reserved_usd") - Value(row.reserved_usd), _PLACES),
            updated_at=clock.now(),
        )
    return True


def account_raise(account_id: UUID, by_usd: Decimal) -> bool:
    """Raise a limit by an amount, to the largest at most; of two who do so at once both count."""
    rows = BudgetAccount.objects.filter(pk=account_id, limit_usd__lte=LARGEST_USD - by_usd)
    return bool(
        rows.update(
            limit_usd=Round(F("limit_usd") + Value(by_usd), _PLACES), updated_at=clock.now()
        )
    )


def _ids(accounts: Iterable[str]) -> list[UUID]:
    return [UUID(account) for account in accounts]
