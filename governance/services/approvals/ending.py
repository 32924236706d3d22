"""What becomes of approvals that nobody decides in time, and of those whose subject is gone."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from core import clock
from governance.binding import EXPIRY, digest_of_facts, expiry_fact
from governance.contracts import (
    SYSTEM,
    ApprovalKind,
    ApprovalState,
    AuditAction,
    AuditSubject,
    Ruling,
)
from governance.models import Approval
from governance.registry import ApprovalHandler, approval_handler
from governance.services.approvals.news import (
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalExpiring,
    tell,
)
from governance.services.approvals.recording import decision_recorded, escalation_recorded
from governance.services.audit import audit_append
from governance.transitions import approvals_move

BATCH = 500
NOBODY = "Nobody decided in time."
SURFACE = "expiry"
_LONGEST_NOTICE = timedelta(days=1)


def approvals_overdue() -> int:
    """Give every approval whose time is over the outcome it was asked with; returns how many.

    Safe to run by anybody at any time: each moves by itself, once.
    """
    due = Approval.objects.filter(state=ApprovalState.PENDING.value, expires_at__lte=clock.now())
    moved = 0
    for approval_id in list(due.order_by("expires_at").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            moved += _expire(approval_id)
    return moved


def _expire(approval_id: UUID) -> bool:
    known = Approval.objects.get(pk=approval_id)
    handler = approval_handler(known.kind)
    handler.lock(subject_id=known.subject_id, run_id=known.run_id)
    approval = Approval.objects.select_for_update().get(pk=approval_id)
    is_due = approval.expires_at is not None and approval.expires_at <= clock.now()
    if approval.state != ApprovalState.PENDING.value or not is_due:
        return False
    match approval.on_expiry:
        case "escalate" if approval.escalate_to:
            _escalate(approval, handler)
        case "park":
            _extend(approval, None)
            handler.noted(_ruling(approval, ApprovalState.PENDING, f"{NOBODY} It waits on."),
                          event="extended")  # fmt: skip
        case "allow_default":
            _extend(approval, _later(approval))
            _end(approval, handler, ApprovalState.APPROVED,
                 f"{NOBODY} The policy allows it then.")  # fmt: skip
        case _:
            _end(approval, handler, ApprovalState.EXPIRED, NOBODY)
    return True


def approvals_warn() -> int:
    """Warn, once each, of approvals whose time is nearly over; returns how many.

    Safe to run by anybody at any time: the mark and the condition are one UPDATE.
    """
    now = clock.now()
    pending = Approval.objects.filter(
        state=ApprovalState.PENDING.value, warned_at=None, expires_at__gt=now
    )
    soon = pending.filter(expires_at__lte=now + _LONGEST_NOTICE).order_by("expires_at")
    due = [approval for approval in soon.iterator() if _is_nearly_over(approval, now)]
    warned = 0
    for approval in due[:BATCH]:
        with transaction.atomic():
            same = {"state": ApprovalState.PENDING.value, "expires_at": approval.expires_at}
            unwarned = Approval.objects.filter(pk=approval.pk, warned_at=None, **same)
            if unwarned.update(warned_at=now):
                warned += 1
                tell(ApprovalExpiring, approval)
    return warned


def _is_nearly_over(approval: Approval, now: datetime) -> bool:
    """A fifth of its time is left, and at most a day of it."""
    if approval.expires_at is None:
        return False
    notice = min(timedelta(seconds=(approval.expires_seconds or 0) / 5), _LONGEST_NOTICE)
    return approval.expires_at - now <= notice


def _escalate(approval: Approval, handler: ApprovalHandler) -> None:
    """Ask others, once, with the same time again."""
    approval.approvers, approval.escalate_to = approval.escalate_to, []
    approval.escalations += 1
    _extend(approval, _later(approval), "approvers", "escalate_to", "escalations")
    reason = f"{NOBODY} Now asked: {', '.join(approval.approvers)}."
    handler.noted(_ruling(approval, ApprovalState.PENDING, reason), event="escalated")
    tell(ApprovalEscalated, approval)
    escalation_recorded(approval, reason)


def _later(approval: Approval) -> float | None:
    return approval.expires_seconds


def _extend(approval: Approval, seconds: float | None, *fields: str) -> None:
    """Give new time; the end of it is one of the facts a decision is bound to."""
    approval.expires_at = None if seconds is None else clock.now() + timedelta(seconds=seconds)
    approval.binding = {**approval.binding, EXPIRY: expiry_fact(approval.expires_at)}
    approval.binding_digest = digest_of_facts(approval.binding)
    approval.warned_at = None
    changed = ["expires_at", "warned_at", "binding", "binding_digest", *fields]
    approval.save(update_fields=changed)


def _end(approval: Approval, handler: ApprovalHandler, state: ApprovalState, reason: str) -> None:
    if approvals_move(
        Q(pk=approval.pk),
        target=state,
        decided_at=clock.now(),
        reason=reason,
        surface=SURFACE,
    ):
        handler.decided(_ruling(approval, state, reason))
        approval.refresh_from_db()
        tell(ApprovalDecided, approval)
        decision_recorded(SYSTEM, approval, state, reason)


def _ruling(approval: Approval, state: ApprovalState, reason: str) -> Ruling:
    return Ruling(
        approval_id=approval.pk,
        workspace_id=approval.workspace_id,
        subject_id=approval.subject_id,
        run_id=approval.run_id,
        state=state,
        by="",
        reason=reason,
        surface=SURFACE,
    )


def approvals_withdraw(run_id: UUID, *, cause: str) -> int:
    """End what a run leaves undecided; called in the transaction that ends the run."""
    open_ones = Approval.objects.filter(run_id=run_id, state=ApprovalState.PENDING.value)
    # What may have happened is still to be said when the run has ended.
    open_ones = open_ones.exclude(kind=ApprovalKind.IN_DOUBT.value)
    return _withdraw(open_ones, cause)


def approval_withdraw(approval_id: UUID, *, cause: str) -> bool:
    """End one question that is still open, because what it is about has changed."""
    pending = Approval.objects.filter(pk=approval_id, state=ApprovalState.PENDING.value)
    return bool(_withdraw(pending, cause))


def _withdraw(rows: QuerySet[Approval], cause: str) -> int:
    moved = 0
    for approval in rows:
        ended = {"decided_at": clock.now(), "reason": f"{cause}."}
        if approvals_move(Q(pk=approval.pk), target=ApprovalState.WITHDRAWN, **ended):
            moved += 1
            approval.refresh_from_db()
            tell(ApprovalDecided, approval)
    return moved


def questions_asked(kind: ApprovalKind, run_ids: Collection[UUID]) -> set[UUID]:
    """Return which of the runs ask something of one kind now."""
    asked = Approval.objects.filter(
        kind=kind.value, run_id__in=run_ids, state=ApprovalState.PENDING.value
    )
    return {run_id for run_id in asked.values_list("run_id", flat=True) if run_id is not None}


def questions_withdraw(kind: ApprovalKind, run_id: UUID, *, cause: str) -> int:
    """End what a run asks of one kind, because it is asked no more; returns how many."""
    asked = Approval.objects.filter(
        kind=kind.value, run_id=run_id, state=ApprovalState.PENDING.value
    )
    return _withdraw(asked, cause)


def approval_used(approval_id: UUID) -> None:
    """Note that what was approved has begun; called in the transaction that begins it."""
    Approval.objects.filter(pk=approval_id).update(used_at=clock.now())
    approval = Approval.objects.get(pk=approval_id)
    audit_append(
        SYSTEM,
        action=AuditAction.EFFECT,
        workspace_id=approval.workspace_id,
        subject=AuditSubject(kind=approval.kind, id=str(approval.subject_id), label=approval.title),
        payload={"approval": str(approval.pk), "binding_digest": approval.binding_digest},
    )
