"""Approvals: deciding them, and what becomes of those nobody decides."""

from governance.services.approvals.deciding import approval_decide
from governance.services.approvals.ending import (
    approval_used,
    approvals_overdue,
    approvals_withdraw,
)

__all__ = ["approval_decide", "approval_used", "approvals_overdue", "approvals_withdraw"]
