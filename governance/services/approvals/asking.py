"""Asking: what a service puts into the inbox, and settling what was answered elsewhere.

Tool calls are asked about by the journal, in the commit that has them wait; everything else here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q

from core import clock
from governance.binding import digest_of_facts
from governance.contracts import Actor, ApprovalKind, ApprovalState
from governance.models import Approval
from governance.services.approvals.news import ApprovalAsked, ApprovalDecided, tell
from governance.transitions import approvals_move


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, about what, and with which answers; none: yes or no."""

    kind: ApprovalKind
    workspace_id: UUID
    subject_id: UUID
    run_id: UUID | None
    agent: str
    requester_id: UUID | None
    requester: str
    title: str
    question: str
    tool: str = ""
    effect: str = ""
    arguments: Mapping[str, Any] | None = None
    facts: Mapping[str, str]
    choices: Sequence[str] = ()
    allow_self: bool = False


def approval_ask(question: Question) -> Approval | None:
    """Put a question into the inbox, without an end; None: it is there already."""
    try:
        with transaction.atomic():
            approval = Approval.objects.create(
                kind=question.kind.value,
                workspace_id=question.workspace_id,
                subject_id=question.subject_id,
                run_id=question.run_id,
                agent_name=question.agent,
                requester_id=question.requester_id,
                requester_name=question.requester,
                title=question.title[:300],
                question=question.question,
                tool=question.tool,
                effect=question.effect,
                arguments=None if question.arguments is None else dict(question.arguments),
                binding=dict(question.facts),
                binding_digest=digest_of_facts(dict(question.facts)),
                choices=list(question.choices),
                allow_self=question.allow_self,
                created_at=clock.now(),
            )
            tell(ApprovalAsked, approval)
            return approval
    except IntegrityError:
        return None  # somebody was first


def approval_answered(
    *, actor: Actor, kind: ApprovalKind, subject_id: UUID, choice: str, reason: str, surface: str
) -> int:
    """Close what was answered without the inbox; called in the transaction that answered it."""
    asked = Approval.objects.filter(
        kind=kind.value, subject_id=subject_id, state=ApprovalState.PENDING.value
    )
    closed = 0
    for approval in asked:
        moved = approvals_move(
            Q(pk=approval.pk),
            target=ApprovalState.APPROVED,
            decided_at=clock.now(),
            decided_by_id=actor.user_id,
            decided_by_name=actor.username,
            reason=reason,
            choice=choice,
            surface=surface,
        )
        if moved:
            closed += 1
            approval.refresh_from_db()
            tell(ApprovalDecided, approval)
    return closed
