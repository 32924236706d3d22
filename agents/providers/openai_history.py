"""Canonical history as chat completions want it: one message a tool result, calls as text."""

from typing import Any

import msgspec

from agents.contracts import CompletionRequest, Role, ToolResponsePart
from agents.providers.history import ToolNames, sent_arguments


def wire_messages(request: CompletionRequest, names: ToolNames) -> list[dict[str, Any]]:
    """Write the history; reasoning stays behind, since this API takes none back."""
    written: list[dict[str, Any]] = []
    if request.system:
        written.append({"role": "system", "content": request.system})
    for message in request.messages:
        answers = [part for part in message.parts if isinstance(part, ToolResponsePart)]
        written.extend(
            {"role": "tool", "tool_call_id": part.id, "content": part.result} for part in answers
        )
        if message.role is Role.TOOL:
            continue
        entry: dict[str, Any] = {"role": message.role.value, "content": message.text}
        if message.role is Role.ASSISTANT:
            calls = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": names.to_wire(call.name),
                        "arguments": msgspec.json.encode(sent_arguments(call)).decode(),
                    },
                }
                for call in message.tool_calls
            ]
            if calls:
                entry["tool_calls"] = calls
                entry["content"] = message.text or None
        if entry["content"] or "tool_calls" in entry or not answers:
            written.append(entry)
    return written
