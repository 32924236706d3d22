"""Histories a vendor accepts: every call answered, no empty answers, secrets gone."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agents.contracts import (
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
)
from core.redaction import redact, redact_text, storable

MAX_LABEL_CHARS = 200
MAX_ARGUMENTS_DEPTH = 64
UNANSWERED = "The run ended before this call had an outcome."


_message = msgspec.json.Decoder(Message)


def message_of(role: str, parts: list[dict[str, Any]]) -> Message:
    """Read a stored message back."""
    return _message.decode(msgspec.json.encode({"role": role, "parts": parts}))


def with_arguments(message: Message, changed: Mapping[int, dict[str, Any]]) -> Message:
    """Return an answer with other arguments for some of its calls, by their index."""
    parts: list[Part] = []
    index = 0
    for part in message.parts:
        if not isinstance(part, ToolCallPart):
            parts.append(part)
            continue
        is_changed = index in changed
        new = {"arguments": changed[index], "signature": ""} if is_changed else {}
        parts.append(msgspec.structs.replace(part, **new))
        index += 1
    return Message(role=message.role, parts=tuple(parts))


def with_text(message: Message, text: str) -> Message:
    """Return a person's message, or a result, with another text."""
    first = message.parts[0]
    if isinstance(first, ToolResponsePart):
        return Message(role=message.role, parts=(msgspec.structs.replace(first, result=text),))
    return Message(role=message.role, parts=(TextPart(text),))


def repaired(messages: Iterable[Message]) -> list[Message]:
    """Answer calls that never got a result, right behind the results that did arrive.

    A run that was cancelled, or a session whose run was interrupted, leaves such calls; vendors
    refuse a history that has them.
    """
    result: list[Message] = []
    open_calls: dict[str, None] = {}
    for message in messages:
        if message.role is not Role.TOOL and open_calls:
            result += [_unanswered(call_id) for call_id in open_calls]
            open_calls = {}
        for part in message.parts:
            if isinstance(part, ToolResponsePart):
                open_calls.pop(part.id, None)
            elif isinstance(part, ToolCallPart):
                open_calls[part.id] = None
        result.append(message)
    return result + [_unanswered(call_id) for call_id in open_calls]


def _unanswered(call_id: str) -> Message:
    return Message(role=Role.TOOL, parts=(ToolResponsePart(call_id, UNANSWERED, True),))


def redacted(message: Message) -> Message:
    """Return the message as it is stored; the very form later model calls are given too.

    Applying it twice changes nothing more. Reasoning that had to be changed loses its signature,
    which would no longer fit, and vendors leave unsigned reasoning out.
    """
    return Message(role=message.role, parts=tuple(_redacted(part) for part in message.parts))


def _redacted(part: Part) -> Part:
    match part:
        case TextPart():
            return TextPart(redact_text(part.content))
        case ToolCallPart():
            return _redacted_call(part)
        case ToolResponsePart():
            return part  # the door redacted it when the call was settled
        case _:
            content = redact_text(part.content)
            is_same = content == part.content
            return ReasoningPart(content, _signature(part.signature) if is_same else "")


def _redacted_call(part: ToolCallPart) -> ToolCallPart:
    trouble = _why_not_kept(part.arguments)
    arguments = redact(part.arguments) if part.arguments is not None and not trouble else None
    return ToolCallPart(
        id=_label(storable(part.id)),
        name=_label(redact_text(part.name)),
        arguments=arguments if isinstance(arguments, dict) else None,
        raw_arguments=trouble or redact_text(part.raw_arguments),
        signature=_signature(part.signature),
    )


def _why_not_kept(arguments: Any) -> str:
    """Say why arguments cannot be worked with, or nothing. Walks them without recursion."""
    pending: list[tuple[Any, int]] = [(arguments, 1)]
    while pending:
        value, depth = pending.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return "(a number that is out of range)"
        if isinstance(value, dict | list):
            if depth > MAX_ARGUMENTS_DEPTH:
                return f"(nested deeper than {MAX_ARGUMENTS_DEPTH} levels)"
            inner = value.values() if isinstance(value, dict) else value
            pending.extend((item, depth + 1) for item in inner)
    return ""


def _label(text: str) -> str:
    """Bound an id or a name that a model or a vendor made up, keeping different ones apart."""
    if len(text) <= MAX_LABEL_CHARS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: MAX_LABEL_CHARS - len(digest) - 1]}~{digest}"


def _signature(signature: str) -> str:
    return signature if redact_text(signature) == signature else ""
