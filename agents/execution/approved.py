"""Taking calls that a person has approved, in the transaction that compares them with what was
approved.

Synchronous, on the database thread of the host. The run is locked first, as deciders do, so that a
worker whose lease has ended takes nothing.
"""

from datetime import datetime
from uuid import UUID

import msgspec
from django.db import transaction

from agents.execution.ownership import lock_owned
from agents.execution.questions import AskedCall, facts_of
from core import clock
from governance.binding import EXPIRY, changed_facts, digest_of_facts
from governance.contracts import ApprovalState
from governance.selectors.approvals import approval_binding
from governance.selectors.policies import policy_in_force
from governance.services.approvals import approval_used
from plugins.contracts import CallState
from plugins.dispatch import arguments_digest
from plugins.policy import Refusal
from plugins.services.asked import call_of, call_take_approved


def take_approved(
    asked: AskedCall, *, fence: int, call_id: UUID, approval_id: UUID, attempt: int
) -> Refusal | None:
    """Compare an approved call with what was approved, and claim it, in one transaction.

    Safe to repeat: a call that this attempt has taken already is taken.
    """
    with transaction.atomic():
        lock_owned(asked.run_id, fence=fence)
        call = call_of(call_id)
        if call.state == CallState.CLAIMED.value and call.attempt == attempt:
            return None
        approved = approval_binding(approval_id)
        if approved is None or approved.state is not ApprovalState.APPROVED:
            return Refusal(sentence="The approval of this call does not hold any more.")
        stored = arguments_digest(call.arguments)
        digests = {stored, call.arguments_digest, asked.arguments_digest}
        expiry = approved.facts.get(EXPIRY, "")
        policy = policy_in_force(asked.workspace_id)
        present = facts_of(
            msgspec.structs.replace(
                asked,
                position=call.position,
                index=call.index,
                arguments_digest=stored if len(digests) == 1 else "altered",
            ),
            policy_id=policy.id if policy else None,
            expires_at=datetime.fromisoformat(expiry) if expiry else None,
        )
        changed = changed_facts(approved.facts, present)
        if digest_of_facts(approved.facts) != approved.digest and not changed:
            changed = ["approval"]
        is_late = bool(expiry) and datetime.fromisoformat(expiry) <= clock.now()
        if changed or is_late:
            return _refusal(changed, is_late=is_late)
        if not call_take_approved(call_id, attempt=attempt):
            return Refusal(sentence=f"The call is {call.state}; it cannot be taken.")
        approval_used(approval_id)
    return None


def _refusal(changed: list[str], *, is_late: bool) -> Refusal:
    names = [name.replace("_", " ") for name in changed]
    if is_late:
        names.append(EXPIRY)
    what = ", ".join(names)
    return Refusal(
        sentence=f"The call was approved, but what was approved is not what would run any more. "
        f"Changed since: {what}. Nothing was done; ask again if it is still wanted.",
        is_late=is_late and not changed,
    )
