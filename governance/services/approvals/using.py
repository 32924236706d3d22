"""Using grants: a call that is covered is taken and counted in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from core import clock
from core.pausepoints import reach
from governance import access
from governance.binding import changed_facts, digest_of_facts
from governance.contracts import (
    SYSTEM,
    AuditAction,
    AuditSubject,
    GrantState,
    Terms,
)
from governance.models import Grant, GrantUse, PolicyVersion, User
from governance.policy.alike import read_alike
from governance.policy.contracts import PolicyInput
from governance.selectors.approvals import decider_of
from governance.selectors.grants import grants_for
from governance.services.approvals.granting import grant_end
from governance.services.approvals.terms import is_within
from governance.services.audit import audit_append

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredCall:
    """A call that a person would be asked about, as it stands in the claiming transaction.

    `begun_at` is when its run began: where facts differ, an older run is merely not covered, a
    younger one shows that what the grant was given for has changed. `terms` are those by which
    its question is asked.
    """

    subject_id: UUID
    workspace_id: UUID
    run_id: UUID
    tool: str
    agent: str
    requester_id: UUID | None
    requester: str
    owner_id: UUID | None
    rule: str
    question: PolicyInput
    facts: Mapping[str, str]
    arguments_digest: str
    terms: Terms
    begun_at: datetime


def grant_use(call: CoveredCall) -> Grant | None:
    """Count the call against a grant that covers it; None: a person must be asked.

    Called in the transaction that claims the call, which undoes the count if the claim fails. Of
    many calls at once no more are counted than the grant is for.
    """
    for grant in grants_for(
        workspace_id=call.workspace_id,
        tool=call.tool,
        agent=call.agent,
        requester_id=call.requester_id,
        owner_id=call.owner_id,
        rule=call.rule,
    ):
        if _holds(grant, call) and _count(grant):
            grant.refresh_from_db()
            _record(grant, call)
            return grant
    return None


def _holds(grant: Grant, call: CoveredCall) -> bool:
    """Compare the call with what the grant is for; end a grant whose time or facts are over."""
    present = {name: call.facts.get(name, "") for name in grant.facts}
    changed = changed_facts(grant.facts, present)
    if changed:
        if "policy" in changed or call.begun_at >= grant.created_at:
            names = ", ".join(name.replace("_", " ") for name in changed)
            grant_end(grant, GrantState.CHANGED, f"Changed since: {names}.", actor=SYSTEM)
        return False
    if not _giver_may(grant):
        reason = f"{grant.granted_by_name} may not decide here any more."
        grant_end(grant, GrantState.CHANGED, reason, actor=SYSTEM)
        return False
    # One rule may ask more of people about one call than about another.
    if grant.approval is None or not is_within(grant.approval, call.terms):
        return False
    return read_alike(grant.pattern).covers(call.question)


def _giver_may(grant: Grant) -> bool:
    """Say whether its giver is still one of those who were asked, and may decide."""
    user = User.objects.filter(pk=grant.granted_by_id, is_active=True).first()
    if user is None or grant.approval is None:
        return False
    decider = decider_of(access.actor_of_user(user), grant.workspace_id)
    return decider.is_eligible(grant.approval)


def _count(grant: Grant) -> bool:
    reach("grant.before_count")
    left = Q(uses_max=None) | Q(uses__lt=F("uses_max"))
    same = Grant.objects.filter(left, pk=grant.pk, state=GrantState.ACTIVE.value)
    return bool(same.filter(expires_at__gt=clock.now()).update(uses=F("uses") + 1))


def _record(grant: Grant, call: CoveredCall) -> None:
    GrantUse.objects.create(
        grant=grant,
        subject_id=call.subject_id,
        run_id=call.run_id,
        agent_name=call.agent,
        requester_name=call.requester,
        arguments_digest=call.arguments_digest,
        at=clock.now(),
    )
    audit_append(
        SYSTEM,
        action=AuditAction.DECISION,
        workspace_id=call.workspace_id,
        subject=AuditSubject(kind="tool_call", id=str(call.subject_id), label=call.tool),
        payload={
            "verdict": "granted",
            "grant": str(grant.pk),
            "by": grant.granted_by_name,
            "use": grant.uses,
            "run": str(call.run_id),
            "requester": call.requester,
            "rule": call.rule,
            "arguments": call.arguments_digest,
            "facts_digest": digest_of_facts(dict(call.facts)),
        },
    )
    if grant.uses_max is not None and grant.uses >= grant.uses_max:
        grant_end(grant, GrantState.USED_UP, f"Used {grant.uses} times.", actor=SYSTEM)


def grants_overdue() -> int:
    """End grants whose time is over or whose policy is not in force any more; returns how many.

    Safe to run by anybody at any time. What it has not seen yet is not used all the same.
    """
    active = Grant.objects.filter(state=GrantState.ACTIVE.value)
    ended = 0
    for grant in active.filter(expires_at__lte=clock.now())[:BATCH]:
        with transaction.atomic():
            ended += grant_end(grant, GrantState.EXPIRED, "Its time is over.", actor=SYSTEM)
    # The grants are read before the policies: one given in between is under what was in force then.
    held = list(active.filter(expires_at__gt=clock.now()))
    versions = PolicyVersion.objects.filter(
        is_active=True, workspace_id__in={grant.workspace_id for grant in held}
    )
    in_force = {str(version) for version in versions.values_list("pk", flat=True)}
    for grant in held:
        if grant.facts.get("policy") not in in_force:
            with transaction.atomic():
                reason = "Changed since: policy."
                ended += grant_end(grant, GrantState.CHANGED, reason, actor=SYSTEM)
    return ended
