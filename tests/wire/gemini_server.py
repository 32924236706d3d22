"""A stand-in for the Gemini API: `python -m tests.wire.gemini_server --script file`.

Serves `/v1beta/models/NAME:streamGenerateContent` and `:generateContent`. Function calls are
signed for models whose name begins with `gemini-3`, and must come back signed. Styles: `blocked`
(the prompt is refused), `broken_call`, `document`.
"""

import re
from typing import Any

from tests.wire.http_server import Request
from tests.wire.scenario import Answer, Ask
from tests.wire.vendor_server import RefusedError, require, run, sse

_PATH = re.compile(r"/v1beta/models/([\w.-]+):(streamGenerateContent|generateContent)")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_KNOWN = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    | {"safetySettings", "cachedContent"}
)
_SCHEMA_WORDS = frozenset(
    {"type", "format", "title", "description", "nullable", "enum", "properties", "required"}
    | {"items", "minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"}
    | {"pattern", "anyOf", "minimum", "maximum", "propertyOrdering", "default", "example"}
)
_TYPES = {"string", "number", "integer", "boolean", "array", "object"}
_FINISH = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_SIGNATURE = "c2lnbmVkLWNhbGw="
_UNSIGNED = "skip_thought_signature_validator"


class GeminiVendor:
    """The Gemini API, checked and streamed."""

    def route(self, request: Request) -> bool:
        return request.method == "POST" and _PATH.fullmatch(request.path) is not None

    def key(self, request: Request) -> str:
        return request.headers.get("x-goog-api-key", "")

    def read(self, request: Request, body: dict[str, Any]) -> Ask:
        found = _PATH.fullmatch(request.path)
        assert found is not None
        model, method = found.groups()
        streaming = method == "streamGenerateContent"
        require(not streaming or request.query.get("alt") == "sse", "only alt=sse is served here")
        for key in body:
            require(key in _KNOWN, f'Invalid JSON payload received. Unknown name "{key}"')
        for tool in body.get("tools", ()):
            for declaration in tool.get("functionDeclarations", ()):
                _check_declaration(declaration)
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents:
            raise RefusedError(400, "* GenerateContentRequest.contents: contents is not specified")
        _check_contents(contents, is_signed=model.startswith("gemini-3"))
        return _ask(model, contents, streaming=streaming)

    def frames(self, answer: Answer, ask: Ask) -> list[bytes]:
        if "blocked" in answer.style:
            feedback = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
            return [sse({**feedback, "usageMetadata": _usage(answer), "modelVersion": ask.model})]
        parts = [[{"text": piece, "thought": True}] for piece in answer.pieces(answer.reasoning)]
        parts += [[{"text": piece}] for piece in answer.pieces(answer.text)]
        if calls := _calls(answer, ask):
            parts.append(calls)
        chunks = [_chunk(ask, given, None) for given in parts]
        reason = "MALFORMED_FUNCTION_CALL" if "broken_call" in answer.style else None
        last = _chunk(ask, [], reason or _FINISH[answer.reason])
        chunks.append({**last, "usageMetadata": _usage(answer)})
        return [sse(chunk).replace(b"\n", b"\r\n") for chunk in chunks]

    def document(self, answer: Answer, ask: Ask) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": answer.text}] if answer.text else []
        chunk = _chunk(ask, parts + _calls(answer, ask), _FINISH[answer.reason])
        return {**chunk, "usageMetadata": _usage(answer)}

    def error(self, status: int, message: str, kind: str) -> dict[str, Any]:
        words = {
            400: "INVALID_ARGUMENT",
            401: "UNAUTHENTICATED",
            403: "PERMISSION_DENIED",
            404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED",
            503: "UNAVAILABLE",
        }
        word = kind or words.get(status, "INTERNAL")
        return {"error": {"code": status, "message": message, "status": word}}

    def error_frame(self, message: str, kind: str) -> bytes:
        word = kind or "UNAVAILABLE"
        return sse({"error": {"code": 503, "message": message, "status": word}})


def _check_declaration(declaration: dict[str, Any]) -> None:
    name = declaration.get("name", "")
    require(_NAME.fullmatch(name), f"Invalid function name {name!r}")
    if "parameters" in declaration:
        _check_schema(declaration["parameters"], f"parameters of {name}")


def _check_schema(schema: Any, where: str) -> None:
    require(isinstance(schema, dict), f"{where}: a schema must be an object")
    for key in schema:
        known = key in _SCHEMA_WORDS
        require(known, f'Invalid JSON payload received. Unknown name "{key}" at {where}')
    kind = schema.get("type")
    require(kind is None or kind in _TYPES, f"{where}: type {kind!r} is not supported")
    if kind == "object":
        fits = schema.get("properties", True)
        require(fits, f"{where}.properties: should be non-empty for OBJECT type")
    if kind == "array":
        require("items" in schema, f"{where}: missing field items")
    texts = all(isinstance(value, str) for value in schema.get("enum", ()))
    require(texts, f"{where}: only strings are allowed in enum")
    for name in schema.get("required", ()):
        require(name in schema.get("properties", {}), f"{where}: property {name} is not defined")
    for name, inner in schema.get("properties", {}).items():
        _check_schema(inner, f"{where}.{name}")
    for inner in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]:
        _check_schema(inner, where)


def _check_contents(contents: list[Any], *, is_signed: bool) -> None:
    due: list[str] = []
    before = "user"
    require(contents[0].get("role") == "user", "the first content must be the user's")
    for number, content in enumerate(contents):
        role, parts = content.get("role"), content.get("parts")
        require(role in ("user", "model"), "Please use a valid role: user, model.")
        require(isinstance(parts, list) and parts, f"contents[{number}].parts must not be empty")
        results = [part["functionResponse"] for part in parts if "functionResponse" in part]
        require(
            len(results) == len(due) and sorted(due) == sorted(r["name"] for r in results),
            "Please ensure that the number of function response parts is equal to the number of "
            "function call parts of the function call turn.",
        )
        for result in results:
            require(isinstance(result.get("response"), dict), "response must be an object")
        calls = [part for part in parts if "functionCall" in part]
        due = [call["functionCall"]["name"] for call in calls]
        if calls:
            require(role == "model", "only the model calls functions")
            require(before == "user", "a function call turn comes after a user turn")
            signature = calls[0].get("thoughtSignature")
            signed = not is_signed or signature in (_SIGNATURE, _UNSIGNED)
            require(signed, "Function call is missing a thought_signature in functionCall parts.")
        before = str(role)
    require(not due, "the last function calls have no responses")


def _ask(model: str, contents: list[Any], *, streaming: bool) -> Ask:
    said, turn, last_tool = "", 0, ""
    for content in reversed(contents):
        if content["role"] == "model":
            turn += 1
            continue
        for part in reversed(content["parts"]):
            if "functionResponse" in part and not last_tool:
                last_tool = part["functionResponse"]["name"]
        if texts := [part["text"] for part in content["parts"] if "text" in part]:
            said = "".join(texts)
            break
    return Ask(
        model=model,
        said=said,
        turn=turn,
        last_tool=last_tool,
        position=len(contents),
        is_streaming=streaming,
    )


def _calls(answer: Answer, ask: Ask) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for call in answer.tool_calls:
        part: dict[str, Any] = {
            "functionCall": {"name": call["name"], "args": call.get("arguments", {})}
        }
        if ask.model.startswith("gemini-3") and not parts:
            part["thoughtSignature"] = _SIGNATURE
        parts.append(part)
    return parts


def _chunk(ask: Ask, parts: list[Any], reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "modelVersion": f"{ask.model}-0",
        "responseId": f"resp_{ask.position}",
    }


def _usage(answer: Answer) -> dict[str, int]:
    asked, answered = answer.tokens("input", 10), answer.tokens("output", 5)
    thought = answer.tokens("reasoning", 0)
    return {
        "promptTokenCount": asked,
        "candidatesTokenCount": answered - thought,
        "thoughtsTokenCount": thought,
        "cachedContentTokenCount": answer.tokens("cached", 0),
        "totalTokenCount": asked + answered,
    }


if __name__ == "__main__":
    run(GeminiVendor())
