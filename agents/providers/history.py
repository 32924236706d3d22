"""What all adapters need between canonical history and a vendor's: names, arguments, ids.

Vendors accept only short plain tool names and unique call ids, and some refuse a conversation for
good when one old call in it is malformed; so what is sent is always well formed.
"""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from agents.contracts import CompletionRequest, Message, ToolCallPart
from agents.errors import ProviderRequestError
from core.ids import new_id

MAX_RAW_ARGUMENTS_CHARS = 16_384
MAX_TOOL_CALLS = 128
_MAX_NAME_CHARS = 64
_RESERVED = frozenset(
    {"model", "messages", "contents", "tools", "stream", "system", "systemInstruction"}
)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class ToolNames:
    """A request's tool names as vendors accept them, and the way back.

    A name that is plain already (letters, digits, `_`, `-`, at most 64) stays as it is.
    """

    __slots__ = ("_back", "_there")

    def __init__(self, names: Iterable[str]) -> None:
        self._there: dict[str, str] = {}
        self._back: dict[str, str] = {}
        # Plain names first: what a changed name becomes must not take another tool's own name.
        for name in sorted(names, key=lambda name: _PLAIN_NAME.fullmatch(name) is None):
            self._learn(name)

    def to_wire(self, name: str) -> str:
        """Return the vendor's form; a name outside the tools (in old history) gets one too."""
        return self._there.get(name) or self._learn(name)

    def from_wire(self, name: str) -> str:
        """Return our name; a name the model made up comes back unchanged."""
        return self._back.get(name, name)

    def _learn(self, name: str) -> str:
        wire = name
        if not _PLAIN_NAME.fullmatch(name) or name in self._back:
            wire = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:_MAX_NAME_CHARS] or "_"
            if not _PLAIN_NAME.fullmatch(wire):
                wire = f"_{wire}"[:_MAX_NAME_CHARS]
            if wire in self._back:
                digest = hashlib.sha256(name.encode()).hexdigest()[:8]
                wire = f"{wire[: _MAX_NAME_CHARS - 9]}_{digest}"
        self._there[name] = wire
        self._back[wire] = name
        return wire


def sent_arguments(call: ToolCallPart) -> dict[str, Any]:
    """Return arguments to send back; text that was no JSON object travels inside one."""
    if call.arguments is not None:
        return call.arguments
    return {"unparsed_arguments": call.raw_arguments} if call.raw_arguments else {}


def tool_call(call_id: str, name: str, text: str, *, signature: str = "") -> ToolCallPart:
    """Build a call from argument text; no text means no arguments."""
    if not text.strip():
        return ToolCallPart(id=call_id, name=name, arguments={}, signature=signature)
    arguments: Any = None
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        arguments = msgspec.json.decode(text)  # else kept as text: the tool result tells the model
    if isinstance(arguments, dict):
        return ToolCallPart(id=call_id, name=name, arguments=arguments, signature=signature)
    return ToolCallPart(
        id=call_id,
        name=name,
        arguments=None,
        raw_arguments=text[:MAX_RAW_ARGUMENTS_CHARS],
        signature=signature,
    )


class CallIds:
    """Gives every call of an answer an id that no other call of the conversation has."""

    __slots__ = ("_taken",)

    def __init__(self, messages: Iterable[Message]) -> None:
        self._taken = {call.id for message in messages for call in message.tool_calls}

    def claim(self, vendor_id: str) -> str:
        """Return the vendor's id, or a new one when it is missing or already taken."""
        fresh = vendor_id if vendor_id and vendor_id not in self._taken else f"call_{new_id().hex}"
        self._taken.add(fresh)
        return fresh


def with_extra(
    body: dict[str, Any], request: CompletionRequest, *, provider: str
) -> dict[str, Any]:
    """Add the vendor's own options to a body; they win over ours where they cannot break it."""
    for key in request.options.extra:
        if key in _RESERVED:
            raise ProviderRequestError(
                f"The option {key!r} for {provider} cannot be set as an extra option.",
                remedy="Set the model, prompt and tools on the agent; leave it out of `extra`.",
            )
    return {**body, **request.options.extra}
