"""Evidence for who decides: where the call would run and what it would change, what its arguments
come from, what waits for the answer, and what was said of calls like it."""

from typing import Any

from governance import access
from governance.contracts import Actor, ApprovalState, Perm
from governance.models import Approval
from governance.registry import approval_handler
from governance.selectors.approvals import difference

LOOKED_AT = 200
SHOWN = 10
_DECIDED = (ApprovalState.APPROVED, ApprovalState.DENIED, ApprovalState.EXPIRED)


def approval_evidence(actor: Actor, approval: Approval) -> dict[str, Any]:
    """Return what was found when it was asked (`sandbox`, `plan` or `plan_problem`), and
    `sources`, `waits`, `similar` and `counts`; for who may see payloads.

    Raises:
        PermissionDeniedError: The actor may not see arguments.
    """
    access.require(actor, Perm.RUN_PAYLOAD, approval.workspace_id)
    handler = approval_handler(approval.kind)
    known = handler.evidence(subject_id=approval.subject_id)
    return {
        "sandbox": approval.evidence.get("sandbox"),
        "plan": approval.evidence.get("plan"),
        "plan_problem": approval.evidence.get("plan_problem", ""),
        "sources": known.get("sources", []),
        "waits": known.get("waits", {}),
        **past_decisions(approval),
    }


def past_decisions(approval: Approval) -> dict[str, Any]:
    """Return the likest of the last decisions about this tool, and how many there were of each."""
    if not approval.tool:
        return {"similar": [], "counts": {}}
    same = Approval.objects.filter(
        workspace_id=approval.workspace_id,
        kind=approval.kind,
        tool=approval.tool,
        state__in=[state.value for state in _DECIDED],
    ).exclude(pk=approval.pk)
    last = list(same.order_by("-pk")[:LOOKED_AT])
    counts = {state.value: sum(row.state == state.value for row in last) for state in _DECIDED}
    ranked = sorted(
        last, key=lambda row: len(difference(approval.arguments, row.current_arguments))
    )
    return {
        "similar": [
            {
                "approval": str(row.pk),
                "state": row.state,
                "by": row.decided_by_name,
                "reason": row.reason,
                "at": row.decided_at.isoformat() if row.decided_at else "",
                "agent": row.agent_name,
                "requester": row.requester_name,
                "difference": difference(approval.arguments, row.current_arguments),
            }
            for row in ranked[:SHOWN]
        ],
        "counts": counts,
    }
