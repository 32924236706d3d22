"""Approvals: deciding them, and what becomes of those nobody decides."""

from governance.services.approvals.asking import Question, approval_answered, approval_ask
from governance.services.approvals.deciding import approval_decide, approval_try
from governance.services.approvals.ending import (
    approval_used,
    approval_withdraw,
    approvals_overdue,
    approvals_warn,
    approvals_withdraw,
    questions_asked,
    questions_withdraw,
)
from governance.services.approvals.granting import grant_give, grant_propose, grant_revoke
from governance.services.approvals.many import Outcome, Seen, approvals_decide
from governance.services.approvals.news import (
    ApprovalAsked,
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalExpiring,
    ApprovalNews,
    approvals_announce,
)
from governance.services.approvals.using import CoveredCall, grant_use, grants_overdue

__all__ = [
    "ApprovalAsked",
    "ApprovalDecided",
    "ApprovalEscalated",
    "ApprovalExpiring",
    "ApprovalNews",
    "CoveredCall",
    "Outcome",
    "Question",
    "Seen",
    "approval_answered",
    "approval_ask",
    "approval_decide",
    "approval_try",
    "approval_used",
    "approval_withdraw",
    "approvals_announce",
    "approvals_decide",
    "approvals_overdue",
    "approvals_warn",
    "approvals_withdraw",
    "grant_give",
    "grant_propose",
    "grant_revoke",
    "grant_use",
    "grants_overdue",
    "questions_asked",
    "questions_withdraw",
]
