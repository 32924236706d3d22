"""Calls that may or may not have happened, in the inbox: one open question for each.

The questions follow from the ledger. They are asked when a worker records a doubt and again by the
sweep, and a call that is settled elsewhere closes its question in the same transaction; whoever
comes second waits for the lock of the call and finds it settled.
"""

from uuid import UUID

from django.db import transaction

from agents.models import Run
from governance.contracts import ApprovalKind
from governance.selectors.approvals import subjects_asked
from governance.selectors.policies import policy_subject
from governance.services.approvals import Question, approval_ask
from plugins.contracts import CallState
from plugins.selectors import calls_doubtful
from plugins.services.asked import call_locked
from plugins.services.calls import CHOICES

BATCH = 500


def doubts_ask() -> int:
    """Ask about every call in doubt that nobody is asked about; returns how many.

    Safe to run by anybody at any time: of two who ask about one call, one does.
    """
    doubtful = calls_doubtful()
    missing = set(doubtful) - (subjects_asked(ApprovalKind.IN_DOUBT) if doubtful else set())
    return sum(_ask(call_id) for call_id in sorted(missing)[:BATCH])


def _ask(call_id: UUID) -> bool:
    with transaction.atomic():
        call = call_locked(call_id)
        if call.state != CallState.IN_DOUBT.value:
            return False
        run = Run.objects.get(pk=call.run_id)
        asked = approval_ask(
            Question(
                kind=ApprovalKind.IN_DOUBT,
                workspace_id=call.workspace_id,
                subject_id=call.pk,
                run_id=run.pk,
                agent=run.agent_name,
                requester_id=run.requested_by_id,
                requester=policy_subject(run.requested_by_id, run.workspace_id).user,
                title=f"Did {call.tool} of {run.agent_name} happen?",
                question=call.reason,
                tool=call.tool,
                effect=call.effect,
                arguments=call.arguments,
                facts={"call": str(call.pk), "attempt": str(call.attempt)},
                choices=tuple(CHOICES.values()),
                allow_self=True,
            )
        )
    return asked is not None
