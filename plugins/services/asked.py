"""Calls that a person was asked about: moving them as decided, and taking approved ones.

Callers hold the lock of the call's run, which is what serialises them with its owner.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q

from core import clock
from core.errors import StaleStateError
from governance.contracts import ApprovalState, Ruling
from governance.services.approvals import approval_withdraw
from plugins.contracts import CallState
from plugins.dispatch import arguments_digest
from plugins.models import ToolCall
from plugins.policy import VERSION as BUILTIN_POLICY
from plugins.transitions import calls_move

_TARGETS = {
    ApprovalState.APPROVED: CallState.APPROVED,
    ApprovalState.DENIED: CallState.DENIED,
    ApprovalState.EXPIRED: CallState.EXPIRED,
}
_CHANGEABLE = [CallState.PLANNED.value, CallState.WAITING.value, CallState.APPROVED.value]
MAX_SHOWN_CHARS = 4_000


def call_of(call_id: UUID) -> ToolCall:
    return ToolCall.objects.get(pk=call_id)


def call_locked(call_id: UUID) -> ToolCall:
    """Return the call, locked until the transaction ends."""
    return ToolCall.objects.select_for_update().get(pk=call_id)


def call_rule(ruling: Ruling) -> ToolCall:
    """Move the call that waits for this decision; the model is told a no with its reason.

    Raises:
        StaleStateError: It waits no more, or for something else.
    """
    call = call_of(ruling.subject_id)
    waits_for = (call.wait or {}).get("approval_id")
    fields = _fields(call, ruling)
    moved = 0
    if waits_for == str(ruling.approval_id):
        waiting = Q(pk=call.pk, state=CallState.WAITING.value)
        moved = calls_move(waiting, target=_TARGETS[ruling.state], **fields)
    if not moved:
        raise StaleStateError(
            f"The call of {call.tool} is {call.state} and waits for this approval no more.",
            remedy="Look at its run.",
            detail={"state": call.state, "by": ""},
        )
    call.refresh_from_db()
    return call


def call_take_approved(call_id: UUID, *, attempt: int) -> bool:
    """Claim an approved call for the owner of its run; of several attempts one does."""
    approved = Q(pk=call_id, state=CallState.APPROVED.value)
    return bool(calls_move(approved, target=CallState.CLAIMED, attempt=attempt, wait=None))


def call_take_granted(call_id: UUID, *, attempt: int, decision: Mapping[str, Any]) -> bool:
    """Claim a call that nobody was asked about, with what allows it; of several attempts one does.

    Called in the transaction that counts it against the grant.
    """
    planned = Q(pk=call_id, state=CallState.PLANNED.value)
    fields = {"attempt": attempt, "decision": dict(decision)}
    return bool(calls_move(planned, target=CallState.CLAIMED, **fields))


def call_change(call_id: UUID, arguments: Mapping[str, Any], *, by: str) -> None:
    """Plan a call that has not begun once more, with other arguments.

    What people were asked about it, or have said, is void; policy is asked anew when it begins.

    Raises:
        StaleStateError: It has begun, or has an outcome.
    """
    call = call_locked(call_id)
    before = call.decision or {}
    is_builtin = before.get("version") == BUILTIN_POLICY
    decision = {
        **(before if is_builtin else {}),
        "edited_by": by,
        "note": (
            f"While the run stood still, {by} changed the arguments of this call to "
            f"{_shown(arguments)}."
        ),
        "asked_digest": before.get("asked_digest") or call.arguments_digest,
    }
    approval = (call.wait or {}).get("approval_id")
    if approval:
        approval_withdraw(UUID(approval), cause=f"{by} changed the arguments of the call")
    moved = calls_move(
        Q(pk=call.pk, state__in=_CHANGEABLE),
        target=CallState.PLANNED,
        arguments=dict(arguments),
        arguments_digest=arguments_digest(dict(arguments)),
        decision=decision,
        wait=None,
        reason="",
    )
    if not moved:
        raise StaleStateError(
            f"The call of {call.tool} is {call.state}; its arguments cannot change any more.",
            remedy="Look at its run.",
            detail={"state": call.state, "by": ""},
        )


def _fields(call: ToolCall, ruling: Ruling) -> dict[str, Any]:
    decision = {
        **(call.decision or {}),
        "approval": str(ruling.approval_id),
        "verdict": ruling.state.value,
        "by": ruling.by,
        "said": ruling.reason,
        "at": clock.now().isoformat(),
    }
    if ruling.state is ApprovalState.APPROVED:
        if ruling.arguments is None:
            return {"decision": decision}
        decision["note"] = _note(ruling, ruling.arguments)
        decision.setdefault("asked_digest", call.arguments_digest)
        digest = arguments_digest(dict(ruling.arguments))
        return {
            "decision": decision,
            "arguments": dict(ruling.arguments),
            "arguments_digest": digest,
        }
    sentence = _refusal(ruling)
    return {
        "decision": decision,
        "result": sentence,
        "reason": sentence,
        "is_error": True,
        "settled_at": clock.now(),
    }


def _refusal(ruling: Ruling) -> str:
    if ruling.state is ApprovalState.EXPIRED:
        return f"The call was not approved in time. {ruling.reason} Nothing was done."
    return f"{ruling.by} denied the call.{_because(ruling.reason)} Nothing was done."


def _note(ruling: Ruling, arguments: Mapping[str, Any]) -> str:
    return (
        f"Before approving the call, {ruling.by} changed its arguments to {_shown(arguments)}."
        f"{_because(ruling.reason)}"
    )


def _shown(arguments: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(arguments)).decode()[:MAX_SHOWN_CHARS]


def _because(reason: str) -> str:
    """Say a person's reason as a sentence of its own, however they ended it."""
    said = reason.strip()
    if not said:
        return ""
    return f" Reason: {said}" if said.endswith((".", "!", "?", "…")) else f" Reason: {said}."
