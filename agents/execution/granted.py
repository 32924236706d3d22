"""Taking calls that a standing approval covers, in the transaction that counts them.

Synchronous, on the database thread of the host. The run is locked first, as for approved calls, so
that a worker whose lease has ended takes nothing.
"""

from typing import Any
from uuid import UUID

import msgspec
from django.db import transaction

from agents.execution.ownership import lock_owned
from agents.execution.questions import AskedCall, question_of, shared_facts
from agents.models import Run
from agents.transitions import run_note
from core.errors import LeaseLostError
from core.pausepoints import reach
from governance.contracts import Terms
from governance.selectors.grants import grants_for
from governance.selectors.policies import policy_in_force
from governance.services.approvals import CoveredCall, grant_use
from observability.contracts import EventKind
from plugins.contracts import CallState
from plugins.dispatch import arguments_digest
from plugins.policy import Decision
from plugins.services.asked import call_of, call_take_granted


def take_granted(
    asked: AskedCall, *, fence: int, call_id: UUID, decision: Decision, attempt: int
) -> Decision | None:
    """Claim a planned call where a grant covers it, and count it; None: a person must be asked.

    Safe to repeat: a call that this attempt has taken already is taken, and was counted once.
    """
    run = Run.objects.select_related("version").get(pk=asked.run_id)
    # Of a call that is taken already its own count may have ended the grant.
    if call_of(call_id).state == CallState.PLANNED.value and not grants_for(
        workspace_id=asked.workspace_id,
        tool=asked.spec.name,
        agent=run.agent_name,
        requester_id=run.requested_by_id,
        owner_id=_owner_id(run),
        rule=decision.rule,
    ):
        return None
    reach("grant.before_lock")
    with transaction.atomic():
        lock_owned(asked.run_id, fence=fence)
        call = call_of(call_id)
        if call.state == CallState.CLAIMED.value and call.attempt == attempt:
            return msgspec.convert(call.decision, Decision)
        digests = {
            arguments_digest(call.arguments),
            call.arguments_digest,
            asked.arguments_digest,
            arguments_digest(asked.arguments),
        }
        policy = policy_in_force(asked.workspace_id)
        asked_by = (decision.ask or {}).get("binding", {}).get("policy")
        is_grantable = bool((decision.ask or {}).get("is_grantable"))
        # Another policy asks other questions; arguments that are not stored could not be compared.
        if policy is None or str(policy.id) != asked_by or len(digests) != 1 or not is_grantable:
            return None
        grant = grant_use(_covered(run, asked, decision, call.pk, policy.id))
        if grant is None:
            return None
        granted = msgspec.structs.replace(
            decision,
            ask=None,
            is_allowed=True,
            grant=str(grant.pk),
            reason=f"Granted by {grant.granted_by_name} to calls alike.",
        )
        if not call_take_granted(call.pk, attempt=attempt, decision=granted.record()):
            raise LeaseLostError(f"The call {call.pk} was moved by somebody else.")
        told: dict[str, Any] = {"call_id": str(call.pk), "what": "granted", "grant": str(grant.pk)}
        told |= {"by": grant.granted_by_name, "use": grant.uses}
        run_note(run=run, kind=EventKind.APPROVAL_NOTED, payload=told)
        reach("grant.before_commit")
    reach("grant.after_commit")
    return granted


def _covered(
    run: Run, asked: AskedCall, decision: Decision, call_id: UUID, policy_id: UUID
) -> CoveredCall:
    question = question_of(asked)
    return CoveredCall(
        subject_id=call_id,
        workspace_id=asked.workspace_id,
        run_id=run.pk,
        tool=asked.spec.name,
        agent=run.agent_name,
        requester_id=run.requested_by_id,
        requester=question.subject.user,
        owner_id=_owner_id(run),
        rule=decision.rule,
        question=question,
        facts=shared_facts(asked, policy_id=policy_id),
        arguments_digest=asked.arguments_digest,
        terms=_terms(decision.ask or {}),
        begun_at=run.created_at,
    )


def _terms(ask: dict[str, Any]) -> Terms:
    return Terms(
        approvers=tuple(ask["approvers"]),
        escalate_to=tuple(ask["escalate_to"]),
        quorum=ask["quorum"],
        allow_self=ask["allow_self"],
        allow_owner=ask["allow_owner"],
    )


def _owner_id(run: Run) -> UUID | None:
    return run.version.created_by_id if run.version is not None else None
