"""Moves of approvals, deliveries and grants: what may follow what, and one conditional UPDATE."""

from typing import Any

from django.db.models import Q

from core.state import StateTable
from governance.contracts import ApprovalState, DeliveryState, GrantState
from governance.models import Approval, Delivery, Grant

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
