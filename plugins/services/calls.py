"""Saying what became of a call in doubt."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from core import clock
from core.errors import InvalidInputError, NotFoundError, StaleStateError
from core.events import DomainEvent, publish
from core.pausepoints import reach
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, ApprovalKind, AuditAction, AuditSubject, Perm
from governance.services.approvals import approval_answered, approvals_withdraw
from governance.services.audit import audit_append
from governance.services.known_secrets import secrets_learn
from plugins.contracts import CallState
from plugins.ledger import UNCLAIMED
from plugins.models import ToolCall
from plugins.transitions import calls_move


class Resolution(StrEnum):
    """What a person says about a call whose outcome was not recorded."""

    COMMITTED = "committed"  # it happened; `result` is what the model is told
    FAILED = "failed"  # it did not happen and shall not be tried again
    RETRY = "retry"  # it did not happen; do it now


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResolved(DomainEvent):
    """A call in doubt was settled; its run may go on."""

    run_id: UUID
    call_id: UUID
    tool: str
    state: str
    by: str
    note: str


_TARGETS = {
    Resolution.COMMITTED: CallState.COMMITTED,
    Resolution.FAILED: CallState.FAILED,
    Resolution.RETRY: CallState.PLANNED,
}


_KEPT = ("question", "is_unprotected")  # what the call was, whatever is said of it now

# What the same outcomes are called in the inbox.
CHOICES = {
    Resolution.COMMITTED: "happened",
    Resolution.FAILED: "did_not_happen",
    Resolution.RETRY: "retry",
}


def call_resolve(
    *, actor: Actor, call_id: UUID, outcome: str, result: str = "", note: str = ""
) -> ToolCall:
    """Settle a call in doubt; of several deciders one wins.

    Raises:
        InvalidInputError: No such outcome, or no result for a call that happened.
        StaleStateError: It is not in doubt any more; the error names who settled it.
    """
    call = (
        access.scope(actor, Perm.RUN_VIEW, ToolCall.objects.all(), field="workspace_id")
        .filter(pk=call_id)
        .first()
    )
    if call is None:
        raise NotFoundError(f"There is no tool call {call_id}.")
    access.require(actor, Perm.TOOL_CALL_RESOLVE, call.workspace_id)
    resolution = _resolution(outcome)
    secrets_learn([call.workspace_id])
    fields = _fields(resolution, actor.username, redact_text(result), redact_text(note))
    with transaction.atomic():
        reach("control.before_update")
        call = _settle(call.pk, resolution, fields, by=actor.username, note=redact_text(note))
        approval_answered(
            actor=actor,
            kind=ApprovalKind.IN_DOUBT,
            subject_id=call.pk,
            choice=CHOICES[resolution],
            reason=redact_text(note),
            surface="api",
        )
        audit_append(
            actor,
            action=AuditAction.DECISION,
            workspace_id=call.workspace_id,
            subject=AuditSubject(kind="tool_call", id=str(call.pk), label=call.tool),
            payload={"outcome": resolution.value, "note": note, "run_id": str(call.run_id)},
        )
    return call


def call_settle(call_id: UUID, *, choice: str, by: str, note: str) -> ToolCall:
    """Settle a call in doubt as somebody chose in the inbox, in the deciding transaction.

    Raises:
        StaleStateError: It is not in doubt any more.
    """
    resolution = next(each for each, name in CHOICES.items() if name == choice)
    return _settle(call_id, resolution, _fields(resolution, by, "", note), by=by, note=note)


def _settle(
    call_id: UUID, resolution: Resolution, fields: dict[str, Any], *, by: str, note: str
) -> ToolCall:
    doubtful = Q(pk=call_id, state=CallState.IN_DOUBT.value)
    before = ToolCall.objects.values_list("decision", flat=True).get(pk=call_id) or {}
    kept = {name: before[name] for name in _KEPT if name in before}
    fields = {**fields, "decision": {**kept, **fields["decision"]}}
    if not calls_move(doubtful, target=_TARGETS[resolution], **fields):
        raise _stale(call_id)
    call = ToolCall.objects.get(pk=call_id)
    publish(
        CallResolved(
            run_id=call.run_id,
            call_id=call.pk,
            tool=call.tool,
            state=call.state,
            by=by,
            note=note,
        )
    )
    return call


def calls_close(run_id: UUID, *, cause: str) -> None:
    """Settle what is open of a run that ended while no worker had it; `cause` is a clause.

    What never began is cancelled, what may have happened is in doubt. Called in the transaction
    that ends the run.
    """
    harmless = [effect.value for effect in UNCLAIMED]
    never_began = [
        state.value
        for state in (CallState.PLANNED, CallState.WAITING, CallState.APPROVED, CallState.CLAIMED)
    ]
    calls_move(
        Q(run_id=run_id)
        & (Q(state__in=never_began) | Q(state=CallState.DISPATCHED.value, effect__in=harmless)),
        target=CallState.CANCELLED,
        reason=f"{cause}.",
        settled_at=clock.now(),
    )
    calls_move(
        Q(run_id=run_id),
        target=CallState.IN_DOUBT,
        reason=f"{cause}, and the call may have happened.",
    )
    approvals_withdraw(run_id, cause=cause)


def _resolution(outcome: str) -> Resolution:
    try:
        return Resolution(outcome)
    except ValueError:
        known = ", ".join(Resolution)
        raise InvalidInputError(
            f"The outcome {outcome!r} is not one of: {known}.",
            fields={"outcome": [f"choose one of: {known}"]},
        ) from None


def _fields(resolution: Resolution, by: str, result: str, note: str) -> dict[str, Any]:
    decision = {
        "resolved_by": by,
        "outcome": resolution.value,
        "note": note,
        "at": clock.now().isoformat(),
    }
    fields: dict[str, Any] = {"decision": decision}
    if resolution is Resolution.RETRY:
        return fields
    is_error = resolution is Resolution.FAILED
    text = result or (
        f"The call did not happen. {note}".strip()
        if is_error
        else f"The call happened; its result was not recorded. {note}".strip()
    )
    return fields | {"result": text, "is_error": is_error, "settled_at": clock.now()}


def _stale(call_id: UUID) -> StaleStateError:
    call = ToolCall.objects.get(pk=call_id)
    by = (call.decision or {}).get("resolved_by", "")
    who = f" by {by}" if by else ""
    return StaleStateError(
        f"The call is {call.state}{who}; only a call in doubt can be resolved.",
        remedy="Look at it again before you decide.",
        detail={"state": call.state, "by": by},
    )
