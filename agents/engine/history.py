"""Histories a vendor accepts: every call answered, no empty answers, secrets gone."""

from collections.abc import Iterable

import msgspec

from agents.contracts import Message, Part, Role, TextPart, ToolCallPart, ToolResponsePart
from core.redaction import redact, redact_text

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
    """Return the message as it is stored; the very form later model calls are given too."""
    return Message(role=message.role, parts=tuple(_redacted(part) for part in message.parts))


def _redacted(part: Part) -> Part:
    match part:
        case TextPart():
            return TextPart(redact_text(part.content))
        case ToolCallPart():
            arguments = redact(part.arguments) if part.arguments is not None else None
            return msgspec.structs.replace(
                part,
                arguments=arguments if isinstance(arguments, dict) else None,
                raw_arguments=redact_text(part.raw_arguments),
            )
        case ToolResponsePart():
            return part  # the door redacted it when the call was settled
        case _:
            return msgspec.structs.replace(part, content=redact_text(part.content))
