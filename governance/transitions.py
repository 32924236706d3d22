"""Moves of an approval: a table of what may follow what, and one conditional UPDATE."""

from typing import Any

from django.db.models import Q

from core.state import StateTable
from governance.contracts import ApprovalState
from governance.models import Approval

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
