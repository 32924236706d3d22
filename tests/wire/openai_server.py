"""A stand-in for OpenAI chat completions: `python -m tests.wire.openai_server --script file`.

Serves `/v1/chat/completions`, streamed or whole. Styles, for servers that differ:
`whole_arguments`, `omit_ids`, `omit_index`, `index_zero`, `same_ids`, `finish_stop`, `no_usage`,
`no_done`, `object_arguments`, `document`, `comments`, `crlf`.
"""

import json
import re
from typing import Any

from tests.wire.http_server import Request
from tests.wire.scenario import Answer, Ask
from tests.wire.vendor_server import RefusedError, require, run, sse

_KNOWN = frozenset(
    {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature"}
    | {"top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n", "user", "metadata"}
    | {"parallel_tool_calls", "response_format", "reasoning_effort", "logprobs", "service_tier"}
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FINISH = {"continue": "stop"}


class OpenAIVendor:
    """OpenAI chat completions, checked and streamed."""

    def route(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/v1/chat/completions"

    def key(self, request: Request) -> str:
        return request.headers.get("authorization", "").removeprefix("Bearer ")

    def read(self, request: Request, body: dict[str, Any]) -> Ask:
        for key in body:
            require(key in _KNOWN, f"Unrecognized request argument supplied: {key}")
        require(isinstance(body.get("model"), str) and body["model"], "you must provide a model")
        streaming = body.get("stream") is True
        options = body.get("stream_options")
        require(options is None or streaming, "stream_options is only allowed with stream")
        _check_tools(body.get("tools"))
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RefusedError(400, "[] is too short - 'messages'")
        names = _check_messages(messages)
        return _ask(body, messages, names, streaming=streaming)

    def frames(self, answer: Answer, ask: Ask) -> list[bytes]:
        style = answer.style
        chunks: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        chunks += [{"reasoning_content": piece} for piece in answer.pieces(answer.reasoning)]
        chunks += [{"content": piece} for piece in answer.pieces(answer.text)]
        for index, call in enumerate(_calls(answer, ask)):
            chunks += _call_deltas(answer, index, call)
        frames = [_chunk(ask, delta, None) for delta in chunks]
        reason = "stop" if "finish_stop" in style else _FINISH.get(answer.reason, answer.reason)
        frames.append(_chunk(ask, {}, reason))
        if ask.wants_usage and "no_usage" not in style:
            frames.append({**_chunk(ask, {}, None), "choices": [], "usage": _usage(answer)})
        written = [sse(frame) for frame in frames]
        if "no_done" not in style:
            written.append(sse("[DONE]"))
        if "comments" in style:
            written = [b": still working\n\n" + frame for frame in written]
        if "crlf" in style:
            written = [frame.replace(b"\n", b"\r\n") for frame in written]
        return written

    def document(self, answer: Answer, ask: Ask) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if answer.tool_calls:
            message["tool_calls"] = _calls(answer, ask)
        choice = {"index": 0, "message": message, "finish_reason": answer.reason}
        return {
            "id": f"chatcmpl-{ask.position}",
            "object": "chat.completion",
            "model": f"{ask.model}-0",
            "choices": [choice],
            "usage": _usage(answer),
        }

    def error(self, status: int, message: str, kind: str) -> dict[str, Any]:
        words = {400: "invalid_request_error", 401: "invalid_request_error", 429: "requests"}
        code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
        word = kind or words.get(status, "server_error")
        return {
            "error": {"message": message, "type": word, "param": None, "code": code.get(status)}
        }

    def error_frame(self, message: str, kind: str) -> bytes:
        return sse({"error": {"message": message, "type": kind or "server_error", "code": None}})


def _check_tools(tools: Any) -> None:
    require(tools is None or (isinstance(tools, list) and tools), "[] is too short - 'tools'")
    seen: set[str] = set()
    for tool in tools or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        require(isinstance(function, dict) and tool.get("type") == "function", "invalid tool")
        assert isinstance(function, dict)
        name = function.get("name")
        fits = isinstance(name, str) and _NAME.fullmatch(name)
        require(fits, f"Invalid 'tools[].function.name': {name!r} does not match the pattern")
        require(name not in seen, f"Duplicate tool name {name!r}")
        seen.add(str(name))
        schema = function.get("parameters", {"type": "object"})
        require(schema.get("type") == "object", f"schema of {name!r} must be of type 'object'")


def _check_messages(messages: list[Any]) -> dict[str, str]:
    """Check the order and the shapes; return the tool name of every call id."""
    names: dict[str, str] = {}
    due: list[str] = []
    for number, message in enumerate(messages):
        require(isinstance(message, dict), f"messages[{number}] is not an object")
        role = message.get("role")
        if role == "tool":
            call_id = message.get("tool_call_id")
            require(
                call_id in due,
                f"Invalid parameter: messages[{number}] with role 'tool' must be a response to a "
                "preceding message with 'tool_calls'.",
            )
            due.remove(call_id)
            require(isinstance(message.get("content"), str), f"messages[{number}]: content")
            continue
        require(
            not due,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            f"to each 'tool_call_id'. The following did not have response messages: {due}",
        )
        known = role in ("system", "developer", "user", "assistant")
        require(known, f"Invalid value: {role!r} for messages[{number}].role")
        calls = message.get("tool_calls")
        content = message.get("content")
        fits = isinstance(content, str) or (role == "assistant" and content is None and calls)
        require(fits, f"Invalid value for 'content' of messages[{number}]: expected a string")
        if calls is not None:
            require(role == "assistant" and calls, f"messages[{number}].tool_calls is not valid")
            due = [_check_call(call, names) for call in calls]
            require(len(set(due)) == len(due), f"messages[{number}]: duplicate tool call ids")
    require(not due, f"The last 'tool_calls' did not have response messages: {due}")
    return names


def _check_call(call: Any, names: dict[str, str]) -> str:
    function = call.get("function", {})
    call_id, name = call.get("id"), function.get("name")
    require(isinstance(call_id, str) and 0 < len(call_id) <= 64, f"invalid call id {call_id!r}")
    require(isinstance(name, str) and _NAME.fullmatch(name), f"invalid function name {name!r}")
    require(call.get("type") == "function", "tool_calls[].type must be 'function'")
    require(isinstance(function.get("arguments"), str), "arguments must be a string")
    names[call_id] = name
    return str(call_id)


def _ask(
    body: dict[str, Any], messages: list[Any], names: dict[str, str], *, streaming: bool
) -> Ask:
    said, turn, last_tool = "", 0, ""
    for message in reversed(messages):
        if message["role"] == "user":
            said = message["content"]
            break
        turn += message["role"] == "assistant"
        if message["role"] == "tool" and not last_tool:
            last_tool = names[message["tool_call_id"]]
    return Ask(
        model=body["model"],
        said=said,
        turn=turn,
        last_tool=last_tool,
        position=len(messages),
        is_streaming=streaming,
        wants_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _chunk(ask: Ask, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{ask.position}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": f"{ask.model}-0",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
    }


def _calls(answer: Answer, ask: Ask) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for index, call in enumerate(answer.tool_calls):
        arguments = call.get("raw_arguments") or json.dumps(call.get("arguments", {}))
        call_id = "call_same" if "same_ids" in answer.style else f"call_{ask.position}_{index}"
        function = {"name": call["name"], "arguments": arguments}
        made.append({"id": call_id, "type": "function", "function": function})
    return made


def _call_deltas(answer: Answer, index: int, call: dict[str, Any]) -> list[dict[str, Any]]:
    style = answer.style
    arguments = call["function"]["arguments"]
    pieces = [arguments] if "whole_arguments" in style else ["", *answer.pieces(arguments)]
    if "object_arguments" in style:
        pieces = [json.loads(arguments)]
    deltas: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces):
        function: dict[str, Any] = {"arguments": piece}
        entry: dict[str, Any] = {"index": 0 if "index_zero" in style else index}
        if number == 0:
            function["name"] = call["function"]["name"]
            entry |= {"id": call["id"], "type": "function"}
        if "omit_ids" in style:
            entry.pop("id", None)
        if "omit_index" in style:
            del entry["index"]
        deltas.append({"tool_calls": [{**entry, "function": function}]})
    return deltas


def _usage(answer: Answer) -> dict[str, Any]:
    asked, answered = answer.tokens("input", 10), answer.tokens("output", 5)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": answer.tokens("cached", 0)},
        "completion_tokens_details": {"reasoning_tokens": answer.tokens("reasoning", 0)},
    }


if __name__ == "__main__":
    run(OpenAIVendor())
