"""Google's Gemini API, `streamGenerateContent` as server-sent events.

Calls and results are matched by name and order. A thought signature comes with a function call
and is kept in `ToolCallPart.signature`; Gemini demands it back unchanged.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

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
    ToolCallPart,
    ToolResponsePart,
    Usage,
)
from agents.providers.gemini_schema import cleaned_schema
from agents.providers.history import MAX_TOOL_CALLS, CallIds, ToolNames, sent_arguments, with_extra
from agents.providers.wire import OddAnswerError, VendorConnection

DEFAULT_BASE_URL = "https://generativelanguage.googleapis.com/v1beta"

# Google's documented stand-in for calls that another vendor's model made.
_NO_SIGNATURE = "skip_thought_signature_validator"

_FINISH = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
}
_BROKEN_CALL = {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"}


class _FunctionCall(msgspec.Struct):
    name: str = ""
    args: dict[str, Any] | None = None
    id: str | None = None


class _Part(msgspec.Struct):
    text: str | None = None
    thought: bool = False
    functionCall: _FunctionCall | None = None  # noqa: N815 (the vendor's word)
    thoughtSignature: str = ""  # noqa: N815


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815
    finishMessage: str | None = None  # noqa: N815
    index: int = 0


class _Chunk(msgspec.Struct):
    candidates: list[_Candidate] | None = None
    usageMetadata: dict[str, Any] | None = None  # noqa: N815
    promptFeedback: dict[str, Any] | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class GeminiProvider:
    """A `Provider` for the Gemini API."""

    def __init__(self, config: ProviderConfig, *, max_connections: int = 64) -> None:
        self._connection = VendorConnection(
            config,
            default_base_url=DEFAULT_BASE_URL,
            key_header=("x-goog-api-key", "{}"),
            max_connections=max_connections,
        )
        self._name = self._connection.name
        has_version = re.search(r"/v\d\w*(/|$)", self._connection.base_url) is not None
        self._prefix = "" if has_version else "/v1beta"

    def __repr__(self) -> str:
        return f"GeminiProvider({self._connection!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        names = ToolNames(tool.name for tool in request.tools)
        failures = self._connection.failures
        answer = _Answer(request, names)
        model = request.model if "/" in request.model else f"models/{request.model}"
        path = f"{self._prefix}/{quote(model, safe='/')}:streamGenerateContent?alt=sse"
        events = self._connection.events(path, self._body(request, names), model=request.model)
        with self._connection.reading(lambda: bool(answer.finish)):
            async with aclosing(events):
                async for data in events:
                    for delta in answer.take(self._chunk(data, request.model)):
                        yield delta
        if not answer.finish:
            raise failures.cut()
        if answer.finish in _BROKEN_CALL:
            raise failures.protocol("made a tool call it could not write down", answer.reason)
        yield answer.completed()

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _chunk(self, data: bytes, model: str) -> _Chunk:
        return self._connection.decoded(data, _decode_chunk, noun="a chunk", model=model)

    def _body(self, request: CompletionRequest, names: ToolNames) -> dict[str, Any]:
        options = request.options
        body: dict[str, Any] = {"contents": wire_contents(request, names)}
        texts = [request.system]
        texts += [message.text for message in request.messages if message.role is Role.SYSTEM]
        if system := "\n\n".join(text for text in texts if text):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if request.tools:
            body["tools"] = [
                {
                    "functionDeclarations": [
                        _declaration(names.to_wire(tool.name), tool.description, tool.input_schema)
                        for tool in request.tools
                    ]
                }
            ]
        settings = {
            "temperature": options.temperature,
            "topP": options.top_p,
            "maxOutputTokens": options.max_output_tokens,
            "stopSequences": list(options.stop) or None,
            "seed": options.seed,
        }
        generation = {key: value for key, value in settings.items() if value is not None}
        extra = request.options.extra.get("generationConfig")
        body = with_extra(body, request, provider=self._name)
        if generation or extra:
            body["generationConfig"] = {**generation, **(extra or {})}
        return body


def _declaration(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": name, "description": description}
    if (parameters := cleaned_schema(schema)) is not None:
        declared["parameters"] = parameters
    return declared


class _Answer:
    """One answer growing chunk by chunk; parts keep the order they came in."""

    def __init__(self, request: CompletionRequest, names: ToolNames) -> None:
        self._names = names
        self._ids = CallIds(request.messages)
        self._runs: list[tuple[type[TextPart] | type[ReasoningPart], list[str]] | ToolCallPart] = []
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._id = ""
        self.finish = ""
        self.reason = ""

    def take(self, chunk: _Chunk) -> list[Delta]:
        """Add one chunk; return what a live view should hear of."""
        news: list[Delta] = []
        if chunk.usageMetadata:
            self._usage = {**self._usage, **chunk.usageMetadata}
        self._model = chunk.modelVersion or self._model
        self._id = chunk.responseId or self._id
        if chunk.promptFeedback and chunk.promptFeedback.get("blockReason"):
            self.finish = "SAFETY"
        for candidate in chunk.candidates or ():
            if candidate.index != 0:
                continue
            for part in (candidate.content and candidate.content.parts) or ():
                self._take_part(part, news)
            if candidate.finishReason:
                self.finish = candidate.finishReason
                self.reason = candidate.finishMessage or candidate.finishReason
        return news

    def completed(self) -> Completed:
        parts: list[Part] = [
            run if isinstance(run, ToolCallPart) else run[0]("".join(run[1])) for run in self._runs
        ]
        finish = _FINISH.get(self.finish, FinishReason.ERROR)
        if self._calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        return Completed(
            message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
            usage=_usage(self._usage),
            finish=finish,
            model=self._model,
            response_id=self._id,
        )

    def _take_part(self, part: _Part, news: list[Delta]) -> None:
        if part.functionCall is not None:
            call = part.functionCall
            if not call.name:
                raise OddAnswerError("sent a function call without a name")
            if self._calls == MAX_TOOL_CALLS:
                raise OddAnswerError(f"asked for more than {MAX_TOOL_CALLS} tool calls at once")
            made = ToolCallPart(
                id=self._ids.claim(call.id or ""),
                name=self._names.from_wire(call.name),
                arguments=call.args or {},
                signature=part.thoughtSignature,
            )
            news.append(ToolCallDelta(index=self._calls, id=made.id, name=made.name))
            self._runs.append(made)
            self._calls += 1
        elif part.text:
            kind = ReasoningPart if part.thought else TextPart
            news.append(ReasoningDelta(part.text) if part.thought else TextDelta(part.text))
            last = self._runs[-1] if self._runs else None
            if isinstance(last, tuple) and last[0] is kind:
                last[1].append(part.text)
            else:
                self._runs.append((kind, [part.text]))


def _usage(raw: dict[str, Any]) -> Usage:
    def count(key: str) -> int:
        value = raw.get(key)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=count("promptTokenCount") + count("toolUsePromptTokenCount"),
        output_tokens=count("candidatesTokenCount") + count("thoughtsTokenCount"),
        cache_read_tokens=count("cachedContentTokenCount"),
        reasoning_tokens=count("thoughtsTokenCount"),
    )


def wire_contents(request: CompletionRequest, names: ToolNames) -> list[dict[str, Any]]:
    """Write the history: neighbours of one role merged, results named after their calls."""
    calls = {call.id: call for message in request.messages for call in message.tool_calls}
    written: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role is Role.SYSTEM:
            continue
        role = "model" if message.role is Role.ASSISTANT else "user"
        parts = [
            entry for part in message.parts if (entry := _wire_part(part, calls, names)) is not None
        ]
        if not parts:
            continue
        if role == "model" and request.model.rpartition("/")[2].startswith("gemini-3"):
            _sign_first_call(parts)
        if written and written[-1]["role"] == role:
            written[-1]["parts"].extend(parts)
        else:
            written.append({"role": role, "parts": parts})
    for entry in written:
        if entry["role"] == "user":
            entry["parts"].sort(key=lambda part: "functionResponse" not in part)
    return written


def _wire_part(
    part: Part, calls: dict[str, ToolCallPart], names: ToolNames
) -> dict[str, Any] | None:
    match part:
        case TextPart(content=text):
            return {"text": text} if text else None
        case ReasoningPart():
            return None  # only its signature would matter, and that travels with the call
        case ToolCallPart():
            wire: dict[str, Any] = {
                "functionCall": {"name": names.to_wire(part.name), "args": sent_arguments(part)}
            }
            if part.signature:
                wire["thoughtSignature"] = part.signature
            return wire
        case ToolResponsePart():
            call = calls.get(part.id)
            key = "error" if part.is_error else "result"
            name = names.to_wire(call.name) if call is not None else "unknown"
            return {"functionResponse": {"name": name, "response": {key: part.result}}}


def _sign_first_call(parts: Sequence[dict[str, Any]]) -> None:
    calls = [part for part in parts if "functionCall" in part]
    if calls and not any("thoughtSignature" in part for part in calls):
        calls[0]["thoughtSignature"] = _NO_SIGNATURE
