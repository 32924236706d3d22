"""Histories a vendor accepts: every call answered, no empty answers, secrets gone."""

import hashlib
from collections.abc import Iterable

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
UNANSWERED = "The run ended before this call had an outcome."


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
            arguments = redact(part.arguments) if part.arguments is not None else None
            return ToolCallPart(
                id=_label(storable(part.id)),
                name=_label(redact_text(part.name)),
                arguments=arguments if isinstance(arguments, dict) else None,
                raw_arguments=redact_text(part.raw_arguments),
                signature=_signature(part.signature),
            )
        case ToolResponsePart():
            return part  # the door redacted it when the call was settled
        case _:
            content = redact_text(part.content)
            is_same = content == part.content
            return ReasoningPart(content, _signature(part.signature) if is_same else "")


def _label(text: str) -> str:
    """Bound an id or a name that a model or a vendor made up, keeping different ones apart."""
    if len(text) <= MAX_LABEL_CHARS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"{text[: MAX_LABEL_CHARS - len(digest) - 1]}~{digest}"


def _signature(signature: str) -> str:
    return signature if redact_text(signature) == signature else ""
