"""Standing approvals: giving one with an approval, and ending it.

A grant answers the questions of one rule of one policy. It covers calls that its pattern speaks of
wholly, with the very tool, policy and agent version it was given for, and never its giver's own.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core import clock
from core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    StaleStateError,
)
from core.pausepoints import reach
from core.redaction import redact_or_withhold, redact_text
from governance import access
from governance.contracts import (
    Actor,
    Alikeness,
    ApprovalState,
    AuditAction,
    AuditSubject,
    GrantState,
    Perm,
    Verdict,
)
from governance.models import Approval, Grant
from governance.policy.alike import proposed, read_alike
from governance.registry import approval_handler
from governance.selectors.grants import GrantProposal
from governance.selectors.policies import policy_in_force
from governance.services.approvals.deciding import (
    MAX_REASON_CHARS,
    approval_decide,
    approval_visible,
    stale,
)
from governance.services.approvals.eligibility import refuse_ineligible
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_learn
from governance.transitions import grants_move

DEFAULT_SECONDS = 7 * 86_400.0
MAX_SECONDS = 90 * 86_400.0
MAX_USES = 1_000_000
_OPEN = frozenset({ApprovalState.PENDING.value, ApprovalState.APPROVED.value})


def grant_propose(*, actor: Actor, approval_id: UUID) -> GrantProposal:
    """Say what a grant given with this approval would cover at least; changes nothing.

    Raises:
        NotFoundError: There is no such approval for the actor.
    """
    approval = approval_visible(actor, approval_id)
    access.require(actor, Perm.RUN_PAYLOAD, approval.workspace_id)
    alike, refusal = _known(approval), ""
    try:
        _refuse_ungrantable(actor, approval, alike)
    except (PermissionDeniedError, ConflictError) as error:
        refusal = str(error)
    arguments = dict(approval.arguments or {})
    unnamed: list[str] = []
    if alike is not None:
        arguments = dict(alike.question.arguments)
        unnamed = read_alike(proposed(arguments)).uncovered(alike.question)
    return GrantProposal(
        tool=approval.tool,
        agent=approval.agent_name,
        requester=approval.requester_name,
        pattern=proposed(arguments),
        arguments=arguments,
        unnamed=tuple(unnamed),
        facts={} if alike is None else dict(alike.facts),
        refusal=refusal,
    )


def grant_give(
    *,
    actor: Actor,
    approval_id: UUID,
    pattern: Mapping[str, Any],
    any_agent: bool = False,
    any_requester: bool = False,
    uses: int | None = None,
    seconds: float = DEFAULT_SECONDS,
    reason: str = "",
    surface: str = "api",
    seen_digest: str | None = None,
) -> Grant:
    """Approve, where it still waits, and let calls alike go unasked; one transaction.

    Given by an approver in person; the pattern covers the call, `seen_digest` is the decider's.

    Raises:
        PermissionDeniedError: Not one of its approvers, or its policy does not let it be granted.
        InvalidInputError: The pattern does not cover the call, or a bound is out of range.
        ConflictError: It is denied or withdrawn, or something it was given for has changed.
    """
    secrets_learn([approval_visible(actor, approval_id).workspace_id])
    _check(pattern, uses, seconds)
    said = redact_text(reason.strip())[:MAX_REASON_CHARS]
    with transaction.atomic():
        approval = approval_visible(actor, approval_id)
        if approval.state not in _OPEN:
            raise stale(approval)
        refuse_ineligible(actor, approval, in_person=True)
        if approval.state == ApprovalState.PENDING.value:
            approval = approval_decide(
                actor=actor,
                approval_id=approval_id,
                verdict=Verdict.APPROVE,
                reason=said,
                surface=surface,
                seen_digest=seen_digest,
            )
        if approval.state != ApprovalState.APPROVED.value:
            raise StaleStateError(
                "Others must agree before calls alike can be granted; nothing was changed.",
                remedy="Approve it, and grant it when its quorum is reached.",
                detail={"state": approval.state, "by": ""},
            )
        alike = _refuse_ungrantable(actor, approval, _known(approval))
        _refuse_narrow(pattern, alike)
        return _insert(
            actor,
            approval,
            alike,
            pattern=dict(pattern),
            agent_name="" if any_agent else alike.agent,
            requester_id=None if any_requester else approval.requester_id,
            requester_name="" if any_requester else approval.requester_name,
            uses_max=uses,
            expires_at=clock.now() + timedelta(seconds=seconds),
            reason=said,
            surface=surface,
        )


def _known(approval: Approval) -> Alikeness | None:
    return approval_handler(approval.kind).alike(subject_id=approval.subject_id)


def _refuse_ungrantable(actor: Actor, approval: Approval, alike: Alikeness | None) -> Alikeness:
    if alike is None:
        raise ConflictError(
            f"There are no standing approvals of the kind {approval.kind}.",
            remedy="Decide this one by itself.",
        )
    access.require(actor, Perm.APPROVAL_DECIDE, approval.workspace_id)
    refuse_ineligible(actor, approval, in_person=True)
    if approval.is_privileged:
        access.require(actor, Perm.APPROVAL_GRANT, approval.workspace_id)
    if not approval.is_grantable:
        raise PermissionDeniedError(
            f"The rule {approval.rule} does not let a yes be given to calls alike.",
            remedy="Decide this one by itself, or say `grantable: true` in the policy.",
        )
    if approval.requester_id is None:
        raise PermissionDeniedError(
            "Nobody is known to have asked for this, so nobody can be told from its giver.",
            remedy="Decide this one by itself.",
        )
    policy = policy_in_force(approval.workspace_id)
    if policy is None or str(policy.id) != approval.binding.get("policy"):
        raise ConflictError(
            "Another policy is in force than the one that asked.",
            remedy="Decide this one by itself, and grant what the new policy asks about.",
        )
    if alike.facts.get("policy") != str(policy.id):
        raise ConflictError("The policy changes right now.", remedy="Try again in a moment.")
    return alike


def _refuse_narrow(pattern: Mapping[str, Any], alike: Alikeness) -> None:
    read = read_alike(pattern)
    missing = read.uncovered(alike.question)
    if missing:
        sentences = [
            f"No test speaks of `{name}`; write one, or `{{present: true}}` for anything."
            for name in missing
        ]
        raise InvalidInputError(
            f"The pattern does not cover the approved call: {sentences[0]}",
            fields={"pattern": sentences},
        )
    if not read.covers(alike.question):
        sentence = "The pattern does not cover the approved call: one of its tests does not hold."
        raise InvalidInputError(sentence, fields={"pattern": [sentence]})


def _check(pattern: Mapping[str, Any], uses: int | None, seconds: float) -> None:
    if redact_or_withhold(dict(pattern)) != dict(pattern):
        sentence = "The pattern holds something that looks like a secret."
        raise InvalidInputError(sentence, fields={"pattern": [sentence]})
    read_alike(pattern)
    if uses is not None and not 1 <= uses <= MAX_USES:
        sentence = f"A grant is for 1 to {MAX_USES} calls."
        raise InvalidInputError(sentence, fields={"uses": [sentence]})
    if not 1 <= seconds <= MAX_SECONDS:
        sentence = f"A grant holds for at most {MAX_SECONDS / 86_400:.0f} days."
        raise InvalidInputError(sentence, fields={"seconds": [sentence]})


def _insert(actor: Actor, approval: Approval, alike: Alikeness, **fields: Any) -> Grant:
    assert actor.user_id is not None, "who is nobody is not eligible"
    grant = Grant.objects.create(
        workspace_id=approval.workspace_id,
        approval=approval,
        tool=alike.tool,
        rule=approval.rule,
        facts=_bound(alike.facts, is_any_agent=not fields["agent_name"]),
        allow_self=approval.allow_self,
        allow_owner=approval.allow_owner,
        granted_by_id=actor.user_id,
        granted_by_name=actor.username,
        created_at=clock.now(),
        **fields,
    )
    audit_append(
        actor,
        action=AuditAction.DECISION,
        workspace_id=grant.workspace_id,
        subject=AuditSubject(kind="grant", id=str(grant.pk), label=grant.tool),
        payload={
            "verdict": "granted",
            "approval": str(approval.pk),
            "agent": grant.agent_name,
            "requester": grant.requester_name,
            "rule": grant.rule,
            "pattern": grant.pattern,
            "facts": grant.facts,
            "uses": grant.uses_max,
            "expires_at": grant.expires_at.isoformat(),
            "reason": grant.reason,
        },
    )
    return grant


def _bound(facts: Mapping[str, str], *, is_any_agent: bool) -> dict[str, str]:
    left_out = {"agent_version"} if is_any_agent else set()
    return {name: value for name, value in facts.items() if name not in left_out}


def grant_revoke(*, actor: Actor, grant_id: UUID, reason: str = "") -> Grant:
    """End a grant at once: the next call is asked about again.

    Raises:
        StaleStateError: It has ended already; the error says how.
    """
    rows = access.scope(actor, Perm.APPROVAL_VIEW, Grant.objects.all())
    found = rows.filter(pk=grant_id).first()
    if found is None:
        raise NotFoundError(f"There is no grant {grant_id}.", remedy="List the grants.")
    access.require(actor, Perm.APPROVAL_DECIDE, found.workspace_id)
    secrets_learn([found.workspace_id])
    said = redact_text(reason.strip())[:MAX_REASON_CHARS]
    with transaction.atomic():
        reach("grant.before_update")
        if not grant_end(found, GrantState.REVOKED, said, actor=actor):
            found.refresh_from_db()
            by = f" by {found.ended_by_name}" if found.ended_by_name else ""
            raise StaleStateError(
                f"The grant is {found.state.replace('_', ' ')}{by}.",
                remedy="Nothing is left to revoke.",
                detail={"state": found.state, "by": found.ended_by_name},
            )
    found.refresh_from_db()
    return found


def grant_end(grant: Grant, state: GrantState, reason: str, *, actor: Actor) -> bool:
    """End a grant, once, with its audit entry; called in a transaction."""
    ended = grants_move(
        Q(pk=grant.pk),
        target=state,
        ended_at=clock.now(),
        ended_by_name="" if actor.is_system else actor.username,
        ended_reason=reason,
    )
    if ended:
        audit_append(
            actor,
            action=AuditAction.DECISION,
            workspace_id=grant.workspace_id,
            subject=AuditSubject(kind="grant", id=str(grant.pk), label=grant.tool),
            payload={"verdict": state.value, "reason": reason},
        )
    return bool(ended)
