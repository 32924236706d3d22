"""Decisions in the audit chain: who said what about exactly which facts."""

from governance.contracts import (
    SYSTEM,
    Actor,
    ApprovalKind,
    ApprovalState,
    AuditAction,
    AuditSubject,
)
from governance.models import Approval
from governance.services.audit import audit_append


def decision_recorded(
    actor: Actor, approval: Approval, state: ApprovalState, reason: str, *, by: str = ""
) -> None:
    """Append a decision to the workspace's chain; last in the transaction that makes it."""
    audit_append(
        actor,
        action=AuditAction.DECISION,
        workspace_id=approval.workspace_id,
        subject=AuditSubject(kind="approval", id=str(approval.pk), label=approval.title),
        payload={
            **(approval.binding if approval.kind == ApprovalKind.BUDGET_RAISE.value else {}),
            "verdict": state.value,
            "by": by,
            "reason": reason,
            "choice": approval.choice,
            "about": approval.kind,
            "subject": str(approval.subject_id),
            "run": str(approval.run_id) if approval.run_id else "",
            "binding_digest": approval.binding_digest,
            "policy_version": approval.policy_version,
        },
    )


def escalation_recorded(approval: Approval, reason: str) -> None:
    """Append that others are asked now; last in the transaction that does it."""
    audit_append(
        SYSTEM,
        action=AuditAction.DECISION,
        workspace_id=approval.workspace_id,
        subject=AuditSubject(kind="approval", id=str(approval.pk), label=approval.title),
        payload={"verdict": "escalated", "reason": reason, "approvers": approval.approvers},
    )
