"""OpenAI chat completions, as spoken by OpenAI and by most other vendors and local servers.

Written against the published API reference and tolerant where servers differ: usage may be
missing, arguments may come in one piece or as an object, ids and indexes may be missing or
repeated, the finish reason may say `stop` beside tool calls, and the answer may be one document.
"""

from collections.abc import AsyncGenerator, Mapping
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
from agents.errors import ProviderRequestError
from agents.providers.history import MAX_TOOL_CALLS, CallIds, ToolNames, tool_call, with_extra
from agents.providers.openai_history import wire_messages
from agents.providers.wire import OddAnswerError, VendorConnection

DEFAULT_BASE_URL = "https://api.openai.com/v1"

_FINISH = {
    "stop": FinishReason.STOP,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk, strict=False).decode


class OpenAIProvider:
    """A `Provider` for any server that speaks OpenAI chat completions."""

    def __init__(self, config: ProviderConfig, *, max_connections: int = 64) -> None:
        self._connection = VendorConnection(
            config,
            default_base_url=DEFAULT_BASE_URL,
            key_header=("authorization", "Bearer {}"),
            max_connections=max_connections,
        )
        self._name = self._connection.name
        host = self._connection.base_url.partition("://")[2].partition("/")[0].lower()
        # Reasoning models of OpenAI refuse the old word; many other servers know only that one.
        modern = host.endswith(("openai.com", "openai.azure.com"))
        self._limit_word = "max_completion_tokens" if modern else "max_tokens"
        self._asks_usage = True

    def __repr__(self) -> str:
        return f"OpenAIProvider({self._connection!r})"

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        names = ToolNames(tool.name for tool in request.tools)
        body = self._body(request, names)
        try:
            async with aclosing(self._answer(body, request, names)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        except ProviderRequestError as error:
            # Older servers refuse the field that asks for usage; a refusal precedes any delta.
            if not self._asks_usage or "stream_options" not in error.message:
                raise
        self._asks_usage = False
        async with aclosing(self._answer(self._body(request, names), request, names)) as deltas:
            async for delta in deltas:
                yield delta

    async def aclose(self) -> None:
        await self._connection.aclose()

    def _body(self, request: CompletionRequest, names: ToolNames) -> dict[str, Any]:
        options = request.options
        body: dict[str, Any] = {
            "model": request.model,
            "messages": wire_messages(request, names),
            "stream": True,
        }
        if self._asks_usage:
            body["stream_options"] = {"include_usage": True}
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": names.to_wire(tool.name),
                        "description": tool.description,
                        "parameters": tool.input_schema,
                    },
                }
                for tool in request.tools
            ]
        tuning = {
            "temperature": options.temperature,
            "top_p": options.top_p,
            self._limit_word: options.max_output_tokens,
            "stop": list(options.stop) or None,
            "seed": options.seed,
        }
        body |= {key: value for key, value in tuning.items() if value is not None}
        return with_extra(body, request, provider=self._name)

    async def _answer(
        self, body: Mapping[str, Any], request: CompletionRequest, names: ToolNames
    ) -> AsyncGenerator[Delta, None]:
        failures = self._connection.failures
        answer = _Answer(request, names)
        events = self._connection.events("/chat/completions", body, model=request.model)
        with self._connection.reading(lambda: answer.finish is not None):
            async with aclosing(events):
                async for data in events:
                    if data == b"[DONE]":
                        answer.is_done = True
                        break
                    for delta in answer.take(self._chunk(data, request.model)):
                        yield delta
        if answer.finish is None and not answer.is_done:
            raise failures.cut()
        if answer.is_empty:
            raise failures.protocol("finished without text, tool calls or a reason")
        yield answer.completed()

    def _chunk(self, data: bytes, model: str) -> _Chunk:
        return self._connection.decoded(data, _decode_chunk, noun="a chunk", model=model)


class _Call:
    __slots__ = ("arguments", "id", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.arguments: list[str] = []


class _Answer:
    """One answer growing chunk by chunk."""

    def __init__(self, request: CompletionRequest, names: ToolNames) -> None:
        self._request = request
        self._names = names
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[Any, _Call] = {}
        self._usage = Usage()
        self._model = ""
        self._id = ""
        self._refused = False
        self.finish: str | None = None
        self.is_done = False

    @property
    def is_empty(self) -> bool:
        return not (self._text or self._calls or self._reasoning or self.finish)

    def take(self, chunk: _Chunk) -> list[Delta]:
        """Add one chunk; return what a live view should hear of."""
        news: list[Delta] = []
        if chunk.usage:
            self._usage = _usage(chunk.usage)
        if not self._id and chunk.id:
            self._id = chunk.id
        if not self._model and chunk.model:
            self._model = chunk.model
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue  # only asked for through `extra`; the first answer is the answer
            delta = choice.delta or choice.message
            if delta is not None:
                self._take_delta(delta, news)
            if choice.finish_reason:
                self.finish = choice.finish_reason
        return news

    def completed(self) -> Completed:
        ids = CallIds(self._request.messages if self._calls else ())
        parts: list[Part] = []
        if self._reasoning:
            parts.append(ReasoningPart("".join(self._reasoning)))
        if self._text:
            parts.append(TextPart("".join(self._text)))
        parts.extend(
            tool_call(ids.claim(call.id), self._names.from_wire(call.name), "".join(call.arguments))
            for call in self._calls
        )
        # Words we do not know name an ordinary end: servers invent them (eos, end_turn, …).
        finish = _FINISH.get(self.finish or "stop", FinishReason.STOP)
        if self._refused:
            finish = FinishReason.CONTENT_FILTER
        elif self._calls and finish is FinishReason.STOP:
            finish = FinishReason.TOOL_CALLS
        elif not self._calls and finish is FinishReason.TOOL_CALLS:
            finish = FinishReason.STOP
        return Completed(
            message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
            usage=self._usage,
            finish=finish,
            model=self._model,
            response_id=self._id,
        )

    def _take_delta(self, delta: _Delta, news: list[Delta]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            self._reasoning.append(thought)
            news.append(ReasoningDelta(thought))
        content = delta.content
        if content:
            if not isinstance(content, str):
                content = self._text_of_parts(content, news)
            if content:
                self._text.append(content)
                news.append(TextDelta(content))
        if delta.refusal and isinstance(delta.refusal, str):
            self._refused = True
            self._text.append(delta.refusal)
            news.append(TextDelta(delta.refusal))
        for piece in delta.tool_calls or ():
            self._take_call(piece, news)

    def _text_of_parts(self, content: Any, news: list[Delta]) -> str:
        """Read content given as a list of typed parts, as Mistral's reasoning models do."""
        texts: list[str] = []
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, dict):
                continue
            if isinstance(part.get("text"), str):
                texts.append(part["text"])
            for thought in part.get("thinking") or ():
                if isinstance(thought, dict) and isinstance(thought.get("text"), str):
                    self._reasoning.append(thought["text"])
                    news.append(ReasoningDelta(thought["text"]))
        return "".join(texts)

    def _take_call(self, piece: dict[str, Any], news: list[Delta]) -> None:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        call_id, name = str(piece.get("id") or ""), str(function.get("name") or "")
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        index = piece.get("index")
        if not isinstance(index, int | str | None):
            raise OddAnswerError("sent a part of a tool call whose index is no number")
        call = self._by_index.get(index) if index is not None else self._last_call()
        if call is None or _begins_another(call, index, call_id, name, arguments):
            if not name:
                raise OddAnswerError("sent a part of a tool call without a name")
            if len(self._calls) == MAX_TOOL_CALLS:
                raise OddAnswerError(f"asked for more than {MAX_TOOL_CALLS} tool calls at once")
            call = _Call(call_id, name)
            self._calls.append(call)
            self._by_index[index] = call
            shown = self._names.from_wire(name)
            news.append(ToolCallDelta(index=len(self._calls) - 1, id=call_id, name=shown))
        elif call_id and not call.id:
            call.id = call_id
        if arguments:
            call.arguments.append(arguments)

    def _last_call(self) -> _Call | None:
        return self._calls[-1] if self._calls else None


def _begins_another(call: _Call, index: Any, call_id: str, name: str, arguments: str) -> bool:
    """Tell whether a named piece that seems to continue `call` is in truth the next call.

    Some servers give every call the index 0, or none, and some repeat the name in each piece.
    """
    if not name:
        return False
    if call_id and call.id and call_id != call.id:
        return True
    if call_id:
        return index is None and not call.id
    if name != call.name:
        return True
    held = "".join(call.arguments)
    return bool(arguments and held) and tool_call("", "", held).arguments is not None


def _usage(raw: dict[str, Any]) -> Usage:
    def count(source: Any, *path: str) -> int:
        for key in path:
            source = source.get(key) if isinstance(source, dict) else None
        return source if isinstance(source, int) and source > 0 else 0

    return Usage(
        input_tokens=count(raw, "prompt_tokens"),
        output_tokens=count(raw, "completion_tokens"),
        cache_read_tokens=count(raw, "prompt_tokens_details", "cached_tokens")
        or count(raw, "prompt_cache_hit_tokens"),
        reasoning_tokens=count(raw, "completion_tokens_details", "reasoning_tokens"),
    )
