"""Rows of governance; one noun a file."""

from governance.models.approval import Approval, ApprovalVote
from governance.models.audit import AuditCheckpoint, AuditEntry, AuditHead
from governance.models.budget import Budget, BudgetAccount, Reservation
from governance.models.channel import Channel, ChannelIdentity, Delivery
from governance.models.delegation import Delegation
from governance.models.grant import Grant, GrantUse
from governance.models.idempotency import IdempotencyRecord
from governance.models.membership import Membership, Role
from governance.models.permission import WorkspaceGroupPermission, WorkspaceUserPermission
from governance.models.policy import Policy, PolicyDifference, PolicyVersion
from governance.models.secret import Secret
from governance.models.token import ApiToken
from governance.models.user import User
from governance.models.workspace import Workspace

__all__ = [
    "ApiToken",
    "Approval",
    "ApprovalVote",
    "AuditCheckpoint",
    "AuditEntry",
    "AuditHead",
    "Budget",
    "BudgetAccount",
    "Channel",
    "ChannelIdentity",
    "Delegation",
    "Delivery",
    "Grant",
    "GrantUse",
    "IdempotencyRecord",
    "Membership",
    "Policy",
    "PolicyDifference",
    "PolicyVersion",
    "Reservation",
    "Role",
    "Secret",
    "User",
    "Workspace",
    "WorkspaceGroupPermission",
    "WorkspaceUserPermission",
]
