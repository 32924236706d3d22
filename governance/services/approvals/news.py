"""News of approvals, after the commit that made it so: for whoever tells people about them.

Delivery is in the process that committed, once, best effort. Whoever must miss nothing also asks
the table: an approval says when it was asked, warned of and decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.events import DomainEvent, publish
from governance.contracts import ApprovalKind, ApprovalState
from governance.models import Approval


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNews(DomainEvent):
    """What every piece of news tells of its approval; the arguments are not among it.

    `approvers` as the approval names them (`user:`, `group:`, `role:` and a name), none: whoever
    may decide. `by` is empty when time decided, `reason` is the decider's.
    """

    approval_id: UUID
    workspace_id: UUID
    kind: ApprovalKind
    subject_id: UUID
    run_id: UUID | None
    title: str
    state: ApprovalState
    approvers: tuple[str, ...]
    quorum: int
    requester_id: UUID | None
    requester: str
    created_at: datetime
    expires_at: datetime | None
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked(ApprovalNews):
    """A question waits for somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided(ApprovalNews):
    """It waits no more: approved, denied, expired or withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalExpiring(ApprovalNews):
    """Most of its time is over, and nobody has decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEscalated(ApprovalNews):
    """Nobody decided in time; `approvers` are those who are asked now."""


def tell(kind: type[ApprovalNews], approval: Approval) -> None:
    """Publish news of an approval as it stands, when the current transaction commits."""
    publish(
        kind(
            approval_id=approval.pk,
            workspace_id=approval.workspace_id,
            kind=ApprovalKind(approval.kind),
            subject_id=approval.subject_id,
            run_id=approval.run_id,
            title=approval.title,
            state=ApprovalState(approval.state),
            approvers=tuple(approval.approvers),
            quorum=approval.quorum,
            requester_id=approval.requester_id,
            requester=approval.requester_name,
            created_at=approval.created_at,
            expires_at=approval.expires_at,
            by=approval.decided_by_name,
            reason=approval.reason,
        )
    )


def approvals_announce(*, asked: Sequence[UUID] = (), ended_run_id: UUID | None = None) -> None:
    """Publish what the journal committed: questions asked, and those that a run's end withdrew."""
    for approval in Approval.objects.filter(pk__in=asked).order_by("pk"):
        tell(ApprovalAsked, approval)
    if ended_run_id is not None:
        withdrawn = ApprovalState.WITHDRAWN.value
        for approval in Approval.objects.filter(run_id=ended_run_id, state=withdrawn):
            tell(ApprovalDecided, approval)
