"""Canonical history as the Messages API wants it: strictly alternating, results before words."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from agents.contracts import (
    CompletionRequest,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
)
from agents.providers.history import ToolNames, sent_arguments

# Marks a reasoning signature that holds a whole content block of this vendor as JSON.
OPAQUE = "anthropic-block:"


def wire_system(request: CompletionRequest) -> str:
    """Join the system prompt and system messages: this API has no system role in between."""
    texts = [request.system]
    texts += [message.text for message in request.messages if message.role is Role.SYSTEM]
    return "\n\n".join(text for text in texts if text)


def wire_messages(messages: Iterable[Message], names: ToolNames) -> list[dict[str, Any]]:
    """Write the history: neighbours of one role merged, tool results first in a user message."""
    written: list[dict[str, Any]] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = [block for part in message.parts for block in _blocks(part, names)]
        if not blocks:
            continue  # the API refuses empty messages
        if written and written[-1]["role"] == role:
            written[-1]["content"].extend(blocks)
        else:
            written.append({"role": role, "content": blocks})
    for entry in written:
        if entry["role"] == "user":
            entry["content"].sort(key=lambda block: block["type"] != "tool_result")
    return written


def _blocks(
    part: TextPart | ReasoningPart | ToolCallPart | ToolResponsePart, names: ToolNames
) -> Iterable[dict[str, Any]]:
    match part:
        case TextPart(content=text):
            # Blank text blocks are refused by the API.
            return [{"type": "text", "text": text}] if text.strip() else []
        case ReasoningPart(content=text, signature=signature):
            if signature.startswith(OPAQUE):
                return [msgspec.json.decode(signature[len(OPAQUE) :])]
            if not signature:
                return []  # another vendor's, or unsigned: the API would refuse it
            return [{"type": "thinking", "thinking": text, "signature": signature}]
        case ToolCallPart():
            return [
                {
                    "type": "tool_use",
                    "id": wire_id(part.id),
                    "name": names.to_wire(part.name),
                    "input": sent_arguments(part),
                }
            ]
        case ToolResponsePart():
            block: dict[str, Any] = {"type": "tool_result", "tool_use_id": wire_id(part.id)}
            if part.result:
                block["content"] = part.result
            if part.is_error:
                block["is_error"] = True
            return [block]


def wire_id(call_id: str) -> str:
    """Return the id in the letters this API allows; the same id always becomes the same."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:32]
