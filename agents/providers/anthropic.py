"""Anthropic's Messages API, streamed.

Thinking is sent back with its signature, as the API demands while tools are in use. Blocks this
system has no part for (redacted thinking, server-side tools) are kept word for word in the
signature of an empty reasoning part, and go back in their place; other vendors never see them.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from agents.contracts import (
    Completed,
    CompletionRequest,
    Delta,
    FinishReason,
    Message,
    Part,
    ProviderConfig,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCallDelta,
    Usage,
)
from agents.providers.anthropic_history import OPAQUE, wire_messages, wire_system
from agents.providers.history import MAX_TOOL_CALLS, CallIds, ToolNames, tool_call, with_extra
from agents.providers.wire import OddAnswerError, VendorConnection

DEFAULT_BASE_URL = "https://api.anthropic.com"
DEFAULT_MAX_TOKENS = 8192  # the API demands a number; every current model allows this one
API_VERSION = "2023-06-01"

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.CONTINUE,
    "refusal": FinishReason.CONTENT_FILTER,
}


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: dict[str, Any] | None = None
    content_block: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode_event = msgspec.json.Decoder(_Event).decode


class AnthropicProvider:
    """A `Provider` for the Messages API and servers compatible with it."""

    def __init__(self, config: ProviderConfig, *, max_connections: int = 64) -> None:
        self._connection = VendorConnection(
            config,
            default_base_url=DEFAULT_BASE_URL,
            key_header=("x-api-key", "{}"),
            headers={"anthropic-version": API_VERSION},
            max_connections=max_connections,
        )
        self._name = self._connection.name
        has_version = self._connection.base_url.endswith("/v1")
        self._path = "/messages" if has_version else "/v1/messages"

    def __repr__(self) -> str:
        return f"AnthropicProvider({self._connection!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        names = ToolNames(tool.name for tool in request.tools)
        failures = self._connection.failures
        answer = _Answer(request, names)
        events = self._connection.events(
            self._path, self._body(request, names), model=request.model
        )
        with self._connection.reading(lambda: bool(answer.stop_reason)):
            async with aclosing(events):
                async for data in events:
                    event = self._event(data, request.model)
                    if event.type == "message_stop":
                        answer.is_done = True
                        break
                    for delta in answer.take(event):
                        yield delta
        if not answer.stop_reason:
            raise failures.cut()
        yield answer.completed()

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _event(self, data: bytes, model: str) -> _Event:
        event = self._connection.decoded(data, _decode_event, noun="an event", model=model)
        if event.type == "message":
            raise self._connection.failures.protocol(
                "answered with a document where a stream was asked for", data
            )
        return event

    def _body(self, request: CompletionRequest, names: ToolNames) -> dict[str, Any]:
        options = request.options
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": options.max_output_tokens or DEFAULT_MAX_TOKENS,
            "messages": wire_messages(request.messages, names),
            "stream": True,
        }
        if system := wire_system(request):
            body["system"] = system
        if request.tools:
            body["tools"] = [
                {
                    "name": names.to_wire(tool.name),
                    "description": tool.description,
                    "input_schema": tool.input_schema,
                }
                for tool in request.tools
            ]
        tuning = {
            "temperature": options.temperature,
            "top_p": options.top_p,
            "stop_sequences": list(options.stop) or None,
        }
        body |= {key: value for key, value in tuning.items() if value is not None}
        return with_extra(body, request, provider=self._name)


class _Block:
    """One content block growing delta by delta."""

    __slots__ = ("kind", "pieces", "signature", "start")

    def __init__(self, start: dict[str, Any]) -> None:
        self.kind = str(start.get("type") or "")
        self.start = start
        self.pieces: list[str] = []
        self.signature = str(start.get("signature") or "")


class _Answer:
    """One answer growing event by event."""

    def __init__(self, request: CompletionRequest, names: ToolNames) -> None:
        self._request = request
        self._names = names
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._counts: dict[str, int] = {}
        self._model = ""
        self._id = ""
        self.stop_reason = ""
        self.is_done = False

    def take(self, event: _Event) -> tuple[Delta, ...]:
        """Add one event; return what a live view should hear of."""
        if event.type == "content_block_delta":
            return self._grow(event.index, event.delta or {})
        if event.type == "content_block_start":
            return self._begin(event.index, event.content_block or {})
        if event.type == "message_start":
            started = event.message or {}
            self._id, self._model = str(started.get("id") or ""), str(started.get("model") or "")
            self._count(started.get("usage"))
        elif event.type == "message_delta":
            self.stop_reason = str((event.delta or {}).get("stop_reason") or self.stop_reason)
            self._count(event.usage)
        return ()  # ping, content_block_stop, and events of the future

    def completed(self) -> Completed:
        ids = CallIds(self._request.messages if self._calls else ())
        parts: list[Part] = []
        for _, block in sorted(self._blocks.items()):
            if (part := self._part(block, ids)) is not None:
                parts.append(part)
        finish = _FINISH.get(self.stop_reason, FinishReason.STOP)
        if self._calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        return Completed(
            message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
            usage=self._usage(),
            finish=finish,
            model=self._model,
            response_id=self._id,
        )

    def _begin(self, index: int, start: dict[str, Any]) -> tuple[Delta, ...]:
        if index in self._blocks:
            raise OddAnswerError(f"began content block {index} twice")
        block = self._blocks[index] = _Block(start)
        if block.kind == "tool_use":
            self._calls += 1
            if self._calls > MAX_TOOL_CALLS:
                raise OddAnswerError(f"asked for more than {MAX_TOOL_CALLS} tool calls at once")
            name = self._names.from_wire(str(start.get("name") or ""))
            return (ToolCallDelta(index=self._calls - 1, id=str(start.get("id") or ""), name=name),)
        text = start.get("text") if block.kind == "text" else start.get("thinking")
        if block.kind in ("text", "thinking") and isinstance(text, str) and text:
            block.pieces.append(text)
            return (TextDelta(text) if block.kind == "text" else ReasoningDelta(text),)
        return ()

    def _grow(self, index: int, delta: dict[str, Any]) -> tuple[Delta, ...]:
        block = self._blocks.get(index)
        if block is None:
            raise OddAnswerError(f"sent a part of content block {index}, which never began")
        kind = delta.get("type")
        if kind == "text_delta":
            piece = _text(delta, "text")
            block.pieces.append(piece)
            return (TextDelta(piece),) if piece else ()
        if kind == "input_json_delta":
            block.pieces.append(_text(delta, "partial_json"))
        elif kind == "thinking_delta":
            piece = _text(delta, "thinking")
            block.pieces.append(piece)
            return (ReasoningDelta(piece),) if piece else ()
        elif kind == "signature_delta":
            block.signature += _text(delta, "signature")
        return ()  # citations and deltas of the future add nothing we keep

    def _part(self, block: _Block, ids: CallIds) -> Part | None:
        text = "".join(block.pieces)
        if block.kind == "text":
            return TextPart(text) if text else None
        if block.kind == "thinking":
            return ReasoningPart(text, block.signature) if text or block.signature else None
        if block.kind == "tool_use":
            if not text and block.start.get("input"):
                text = msgspec.json.encode(block.start["input"]).decode()
            name = self._names.from_wire(str(block.start.get("name") or ""))
            return tool_call(ids.claim(str(block.start.get("id") or "")), name, text)
        kept = dict(block.start)
        if text:
            kept["input"] = tool_call("", "", text).arguments or {}
        return ReasoningPart("", OPAQUE + msgspec.json.encode(kept).decode())

    def _count(self, usage: Any) -> None:
        for key, value in (usage if isinstance(usage, dict) else {}).items():
            if isinstance(value, int) and value >= 0:
                self._counts[key] = value  # cumulative: the last word counts

    def _usage(self) -> Usage:
        read = self._counts.get("cache_read_input_tokens", 0)
        written = self._counts.get("cache_creation_input_tokens", 0)
        return Usage(
            input_tokens=self._counts.get("input_tokens", 0) + read + written,
            output_tokens=self._counts.get("output_tokens", 0),
            cache_read_tokens=read,
            cache_write_tokens=written,
        )


def _text(delta: dict[str, Any], key: str) -> str:
    value = delta.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise OddAnswerError(f"sent a delta whose `{key}` is not text")
    return value
