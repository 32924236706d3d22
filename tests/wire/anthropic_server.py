"""A stand-in for Anthropic's Messages API: `python -m tests.wire.anthropic_server --script file`.

Serves `/v1/messages`, streamed or whole. Styles: `redacted` (the reasoning comes redacted),
`server_tool` (a server-side tool block before the text), `whole_input`, `document`.
"""

import hashlib
import json
import re
from typing import Any

from tests.wire.http_server import Request
from tests.wire.scenario import Answer, Ask
from tests.wire.vendor_server import RefusedError, require, run, sse

_KNOWN = frozenset(
    {"model", "messages", "max_tokens", "system", "stream", "tools", "tool_choice", "temperature"}
    | {"top_p", "top_k", "stop_sequences", "metadata", "thinking", "service_tier", "cache_control"}
)
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FINISH = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "continue": "pause_turn",
    "content_filter": "refusal",
}
_BLOCKS = {
    "user": {"text", "tool_result", "image"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use"},
}


class AnthropicVendor:
    """Anthropic's Messages API, checked and streamed."""

    def route(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/v1/messages"

    def key(self, request: Request) -> str:
        return request.headers.get("x-api-key", "")

    def read(self, request: Request, body: dict[str, Any]) -> Ask:
        require(request.headers.get("anthropic-version"), "anthropic-version: header is required")
        for key in body:
            require(key in _KNOWN, f"{key}: Extra inputs are not permitted")
        require(isinstance(body.get("model"), str) and body["model"], "model: Field required")
        limit = body.get("max_tokens")
        require(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
        system = body.get("system", "x")
        require(isinstance(system, str | list) and system, "system: must not be empty")
        _check_tools(body.get("tools", []))
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RefusedError(400, "messages: at least one message is required")
        names = _check_messages(messages)
        return _ask(body, messages, names)

    def frames(self, answer: Answer, ask: Ask) -> list[bytes]:
        blocks = _blocks(answer, ask)
        usage = _usage(answer)
        started = {**_message(ask, [], None), "usage": {**usage, "output_tokens": 1}}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": started},
            {"type": "ping"},
        ]
        for index, block in enumerate(blocks):
            start, deltas = _opened(answer, block)
            events.append({"type": "content_block_start", "index": index, "content_block": start})
            events += [
                {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
            ]
            events.append({"type": "content_block_stop", "index": index})
        reason = _FINISH[answer.reason]
        events.append(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": {"output_tokens": usage["output_tokens"]},
            }
        )
        events.append({"type": "message_stop"})
        return [sse(event, event=event["type"]) for event in events]

    def document(self, answer: Answer, ask: Ask) -> dict[str, Any]:
        message = _message(ask, _blocks(answer, ask), _FINISH[answer.reason])
        return {**message, "usage": _usage(answer)}

    def error(self, status: int, message: str, kind: str) -> dict[str, Any]:
        words = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            413: "request_too_large",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        return {
            "type": "error",
            "error": {"type": words.get(status, "api_error"), "message": message},
            "request_id": "req_1",
        }

    def error_frame(self, message: str, kind: str) -> bytes:
        error = {"type": kind or "overloaded_error", "message": message}
        return sse({"type": "error", "error": error}, event="error")


def signature_of(thinking: str) -> str:
    """Sign reasoning as this server does; it refuses reasoning with another signature."""
    return "sig-" + hashlib.sha256(thinking.encode()).hexdigest()[:24]


def _check_tools(tools: list[Any]) -> None:
    seen: set[str] = set()
    for number, tool in enumerate(tools):
        name = tool.get("name", "")
        require(_NAME.fullmatch(name), f"tools.{number}.name: String should match the pattern")
        require(name not in seen, "tools: Tool names must be unique.")
        seen.add(name)
        schema = tool.get("input_schema", {})
        require(schema.get("type") == "object", f"tools.{number}.input_schema.type: Field required")


def _check_messages(messages: list[Any]) -> dict[str, str]:
    """Check order and blocks; return the tool name of every call id."""
    names: dict[str, str] = {}
    due: set[str] = set()
    for number, message in enumerate(messages):
        role = message.get("role")
        expected = "user" if number % 2 == 0 else "assistant"
        require(role == expected, f"messages.{number}: roles must alternate, expected {expected!r}")
        content = message.get("content")
        if isinstance(content, str):
            require(content, f"messages.{number}: content must not be empty")
            content = [{"type": "text", "text": content}]
        require(isinstance(content, list) and content, f"messages.{number}: must have content")
        _check_results(number, content, due)
        due = set()
        for block in content:
            kind = block.get("type")
            require(kind in _BLOCKS[role], f"messages.{number}: unexpected block {kind!r}")
            if kind == "text":
                said = block.get("text", "")
                require(said.strip(), "messages: text content blocks must be non-empty")
            elif kind == "tool_use":
                due.add(_check_use(number, block, names))
            elif kind == "thinking":
                signed = block.get("signature") == signature_of(block.get("thinking", ""))
                require(signed, f"messages.{number}: Invalid `signature` in `thinking` block")
    # Only a turn that a server-side tool paused may be continued from the assistant's own words.
    last = messages[-1]
    paused = last["role"] == "assistant" and any(
        block["type"] == "server_tool_use" for block in last["content"]
    )
    require(last["role"] == "user" or paused, "the conversation must end with a user message")
    return names


def _check_results(number: int, content: list[Any], due: set[str]) -> None:
    kinds = [block.get("type") for block in content]
    results = [block for block in content if block.get("type") == "tool_result"]
    given = [block.get("tool_use_id") for block in results]
    missing = due - set(given)
    require(
        not missing,
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately "
        f"after: {', '.join(sorted(missing))}",
    )
    require(
        set(given) <= due and len(set(given)) == len(given),
        f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks",
    )
    first = all(kind == "tool_result" for kind in kinds[: len(given)])
    require(first, f"messages.{number}: tool_result blocks must come first")
    for block in results:
        fits = isinstance(block.get("content", ""), str | list)
        require(fits, f"messages.{number}: tool_result content")


def _check_use(number: int, block: dict[str, Any], names: dict[str, str]) -> str:
    call_id, name = block.get("id", ""), block.get("name", "")
    require(_ID.fullmatch(call_id), f"messages.{number}: tool_use.id should match the pattern")
    require(call_id not in names, "messages: `tool_use` ids must be unique")
    require(_NAME.fullmatch(name), f"messages.{number}: tool_use.name should match the pattern")
    require(isinstance(block.get("input"), dict), f"messages.{number}: input should be an object")
    names[call_id] = name
    return str(call_id)


def _ask(body: dict[str, Any], messages: list[Any], names: dict[str, str]) -> Ask:
    said, turn, last_tool = "", 0, ""
    for message in reversed(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "assistant":
            turn += 1
            continue
        for block in reversed(blocks):
            if block["type"] == "tool_result" and not last_tool:
                last_tool = names[block["tool_use_id"]]
        if texts := [block["text"] for block in blocks if block["type"] == "text"]:
            said = "".join(texts)
            break
    return Ask(
        model=body["model"],
        said=said,
        turn=turn,
        last_tool=last_tool,
        position=len(messages),
        is_streaming=body.get("stream") is True,
    )


def _message(ask: Ask, content: list[Any], reason: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{ask.position}",
        "type": "message",
        "role": "assistant",
        "model": f"{ask.model}-0",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
    }


def _blocks(answer: Answer, ask: Ask) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if "redacted" in answer.style:
        blocks.append({"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"})
    elif answer.reasoning:
        signature = signature_of(answer.reasoning)
        block = {"type": "thinking", "thinking": answer.reasoning, "signature": signature}
        blocks.append(block)
    if "server_tool" in answer.style:
        query = {"query": "weather"}
        block = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search"}
        blocks.append({**block, "input": query})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for index, call in enumerate(answer.tool_calls):
        block = {"type": "tool_use", "id": f"toolu_{ask.position}_{index}", "name": call["name"]}
        given = call.get("raw_arguments", call.get("arguments", {}))
        blocks.append({**block, "input": given})
    return blocks


def _opened(answer: Answer, block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a block begins on the wire, and the deltas that fill it."""
    kind = block["type"]
    if kind == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces(block["text"])]
        return {"type": "text", "text": ""}, deltas
    if kind == "thinking":
        pieces = answer.pieces(block["thinking"])
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    if kind in ("tool_use", "server_tool_use"):
        if "whole_input" in answer.style:
            return block, []
        given = block["input"]
        text = given if isinstance(given, str) else json.dumps(given)
        pieces = [] if given == {} else ["", *answer.pieces(text)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        return {**block, "input": {}}, deltas
    return block, []


def _usage(answer: Answer) -> dict[str, int]:
    cached, written = answer.tokens("cached", 0), answer.tokens("written", 0)
    return {
        "input_tokens": answer.tokens("input", 10) - cached - written,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": answer.tokens("output", 5),
    }


if __name__ == "__main__":
    run(AnthropicVendor())
