"""Receipts: an entry of the effect ledger as evidence tells of it."""

from typing import Any

from governance.selectors.audit import moment
from plugins.dispatch import arguments_digest, arguments_text
from plugins.models import ToolCall


def call_document(call: ToolCall) -> tuple[dict[str, Any], str]:
    """Return an effect as evidence tells of it, and the text its arguments' digest is of.

    The text is empty where the arguments held a secret, so that what is stored is not what ran.
    """
    is_whole = arguments_digest(call.arguments) == call.arguments_digest
    told = {
        "tool": call.tool,
        "spec_digest": call.spec_digest,
        "effect": call.effect,
        "state": call.state,
        "attempt": call.attempt,
        "place": {"position": call.position, "index": call.index},
        "arguments": call.arguments,
        "arguments_digest": call.arguments_digest,
        "arguments_are_redacted": not is_whole,
        "idempotency_key": f"agentry-{call.pk}",
        "decision": call.decision,
        "result": call.result,
        "result_digest": call.result_digest,
        "is_error": call.is_error,
        "reason": call.reason,
        "planned_at": moment(call.planned_at),
        "dispatched_at": moment(call.dispatched_at) if call.dispatched_at else None,
        "settled_at": moment(call.settled_at) if call.settled_at else None,
    }
    return told, arguments_text(call.arguments).decode() if is_whole else ""
