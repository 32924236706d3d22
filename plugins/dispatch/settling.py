"""Settlements: what a call came to, as the model is shown it: bounded, redacted, never lost."""

import hashlib
from typing import Any

import msgspec

from core.redaction import redact_text
from plugins.contracts import CallState, ToolResult, ToolSpec
from plugins.dispatch.records import PlannedCall, Settlement
from plugins.ledger import UNCLAIMED
from plugins.policy import Decision
from plugins.schemas import Checker

SHOWN_CHARS = 32_000


def unknown_or_failed(spec: ToolSpec, sentence: str) -> Settlement:
    if spec.effect in UNCLAIMED:
        return failure(sentence)
    return Settlement(state=CallState.IN_DOUBT, reason=redact_text(sentence))


def success(result: ToolResult, spec: ToolSpec) -> Settlement:
    """Settle with a result: bounded for the model, whole in the blob store when it is larger."""
    text = redact_text(result.text)
    full = full_digest = None
    if len(text) > SHOWN_CHARS:
        whole = text.encode("utf-8", "replace")
        full = whole[: spec.max_result_bytes]
        full_digest = hashlib.sha256(full).hexdigest()
        what = "the whole result" if len(full) == len(whole) else "its beginning"
        text = _shortened(text, full_digest, f"{what} ({len(full)} bytes)")
    return Settlement(
        state=CallState.FAILED if result.is_error else CallState.COMMITTED,
        text=text,
        is_error=result.is_error,
        full=full,
        full_digest=full_digest or "",
    )


def fitted(settlement: Settlement, result: ToolResult, checker: Checker | None) -> Settlement:
    """Mark a result that is not what its tool declared. It happened all the same."""
    if checker is None or result.is_error:
        return settlement
    try:
        content = msgspec.json.decode(result.text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        complaint = "result: is not JSON"
    else:
        complaint = checker.complaint(content)
    if not complaint:
        return settlement
    sentence = redact_text(f"The result does not fit the tool's output schema: {complaint}")
    return msgspec.structs.replace(
        settlement, is_error=True, reason=sentence, text=f"{sentence}\n\n{settlement.text}"
    )


def failure(sentence: str) -> Settlement:
    """Settle as known not to have worked; the model sees the sentence."""
    sentence = redact_text(sentence)
    if len(sentence) > SHOWN_CHARS:
        sentence = sentence[:SHOWN_CHARS] + " …"
    return Settlement(state=CallState.FAILED, text=sentence, is_error=True, reason=sentence)


def _shortened(text: str, digest: str, kept: str) -> str:
    head, tail = SHOWN_CHARS * 3 // 4, SHOWN_CHARS // 4
    left_out = len(text) - head - tail
    return (
        f"{text[:head]}\n[… {left_out} characters left out; {kept} "
        f"is stored as sha256:{digest} …]\n{text[-tail:]}"
    )


# What a person changed about a call, whatever is decided of it afterwards.
EDITED = ("edited_by", "note", "asked_digest")


def recorded(decision: Decision, call: PlannedCall) -> dict[str, Any]:
    """Return what the ledger keeps of a decision, with what a person changed about the call."""
    before = call.decision or {}
    kept = {name: before[name] for name in EDITED if name in before}
    return {**decision.record(), **kept} if "edited_by" in kept else decision.record()


def denial(sentence: str, decision: dict[str, Any] | None) -> Settlement:
    """Settle as refused by policy; the model sees why."""
    return msgspec.structs.replace(failure(sentence), state=CallState.DENIED, decision=decision)


def annotated(settlement: Settlement, decision: dict[str, Any] | None) -> Settlement:
    """Tell the model first what an approver changed about the call, if anything."""
    note = (decision or {}).get("note", "")
    if not note or not settlement.is_final:
        return settlement
    return msgspec.structs.replace(settlement, text=f"{note}\n\n{settlement.text}")
