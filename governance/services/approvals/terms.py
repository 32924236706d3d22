"""Whether those who were asked about one call may answer for another: an approval was asked by a
policy's terms, and another call, or other arguments, may be asked by stricter ones."""

from governance.contracts import Terms
from governance.models import Approval


def is_within(approval: Approval, terms: Terms) -> bool:
    """Say whether whoever may decide the approval could decide what is asked by `terms` too."""
    asked = set(approval.approvers)
    circles = [terms.approvers, *([terms.escalate_to] if approval.escalations else [])]
    is_for_them = not terms.approvers or any(asked and asked.issubset(circle) for circle in circles)
    return (
        is_for_them
        and approval.quorum >= terms.quorum
        and (terms.allow_self or not approval.allow_self)
        and (terms.allow_owner or not approval.allow_owner)
    )
