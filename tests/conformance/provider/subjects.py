"""The providers under one suite: each told, in its own way, to give the same canonical answers."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from agents.contracts import (
    Completed,
    CompletionRequest,
    Delta,
    FinishReason,
    Message,
    Part,
    Provider,
    ProviderConfig,
    ProviderKind,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    Usage,
)
from agents.providers.build import build_provider
from agents.providers.replay import RecordedAnswer, ReplayProvider
from plugins.contracts import EffectClass, ToolSpec
from tests.wire.anthropic_server import AnthropicVendor
from tests.wire.gemini_server import GeminiVendor
from tests.wire.openai_server import OpenAIVendor
from tests.wire.vendor_server import Vendor, VendorServer, serving

KEY = "sk-conformance-0123456789abcdef"
VENDORS: Mapping[str, tuple[type[Vendor], str]] = {
    "openai": (OpenAIVendor, "/v1"),
    "anthropic": (AnthropicVendor, ""),
    "gemini": (GeminiVendor, "/v1beta"),
}
ALL = (*VENDORS, "scripted", "replay")

WEATHER = ToolSpec(
    name="weather",
    description="Tell the weather of a city.",
    input_schema={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1},
            "days": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        },
        "required": ["city"],
        "additionalProperties": False,
    },
    effect=EffectClass.READ,
)
DOTTED = ToolSpec(
    name="files.view",
    description="Show a file.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}},
    effect=EffectClass.READ,
)
NO_ARGUMENTS = ToolSpec(
    name="now",
    description="Tell the time.",
    input_schema={"type": "object", "properties": {}, "additionalProperties": False},
    effect=EffectClass.READ,
)


@asynccontextmanager
async def vendor_subject(
    kind: str, *answers: Mapping[str, Any], key: str = "", **settings: Any
) -> AsyncIterator[tuple[Provider, VendorServer]]:
    """Yield a built provider and the stand-in server it talks to."""
    vendor, path = VENDORS[kind]
    async with serving(vendor(), *answers, key=key) as server:
        config = ProviderConfig(
            kind=ProviderKind(kind), base_url=server.url + path, api_key=KEY, **settings
        )
        provider = build_provider(config)
        try:
            yield provider, server
        finally:
            await provider.aclose()


@asynccontextmanager
async def subject(kind: str, *answers: Mapping[str, Any]) -> AsyncIterator[Provider]:
    """Yield a provider of any kind that gives these answers, turn by turn."""
    if kind in VENDORS:
        async with vendor_subject(kind, *answers, key=KEY) as (provider, _):
            yield provider
    elif kind == "scripted":
        steps = [_scripted_step(answer) for answer in answers]
        script = json.dumps({"steps": steps}, ensure_ascii=False)
        yield build_provider(ProviderConfig(kind=ProviderKind.SCRIPTED, script=script))
    else:
        yield ReplayProvider([_recorded(number, answer) for number, answer in enumerate(answers)])


def _scripted_step(answer: Mapping[str, Any]) -> dict[str, Any]:
    step = {key: value for key, value in answer.items() if key != "usage"}
    usage = answer.get("usage", {"input": 10, "output": 5})
    words = {"cached": "cache_read", "written": "cache_write"}
    step["usage"] = {f"{words.get(key, key)}_tokens": value for key, value in usage.items()}
    return step


def _recorded(number: int, answer: Mapping[str, Any]) -> RecordedAnswer:
    parts: list[Part] = []
    if "reasoning" in answer:
        parts.append(ReasoningPart(answer["reasoning"]))
    if "text" in answer:
        parts.append(TextPart(answer["text"]))
    calls = answer.get("tool_calls", ())
    parts += [
        ToolCallPart(id=f"call_{number}_{index}", name=call["name"], arguments=call["arguments"])
        for index, call in enumerate(calls)
    ]
    usage = answer.get("usage", {})
    default = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
    return RecordedAnswer(
        message=Message(role=Role.ASSISTANT, parts=tuple(parts)),
        usage=Usage(
            input_tokens=usage.get("input", 10),
            output_tokens=usage.get("output", 5),
            cache_read_tokens=usage.get("cached", 0),
        ),
        finish=FinishReason(answer.get("finish", default)),
    )


def ask(*messages: Message, model: str = "model-1", **fields: Any) -> CompletionRequest:
    fields.setdefault("tools", (WEATHER, DOTTED, NO_ARGUMENTS))
    return CompletionRequest(model=model, system="Be brief.", messages=messages, **fields)


async def answer_of(provider: Provider, request: CompletionRequest) -> Completed:
    return (await heard(provider, request))[1]


async def heard(provider: Provider, request: CompletionRequest) -> tuple[list[Delta], Completed]:
    """Return the deltas before the end, and the end; there must be exactly one."""
    deltas = [delta async for delta in provider.complete(request)]
    last = deltas.pop()
    assert isinstance(last, Completed)
    assert not any(isinstance(delta, Completed) for delta in deltas)
    return deltas, last


def without_ids(message: Message) -> Message:
    """Return the message as it compares between vendors, which choose ids and sign things."""
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, ToolCallPart):
            parts.append(ToolCallPart(id="", name=part.name, arguments=part.arguments))
        elif isinstance(part, ReasoningPart):
            parts.append(ReasoningPart(part.content))
        else:
            parts.append(part)
    return Message(role=message.role, parts=tuple(parts))


def results(message: Message, *texts: str, errors: Sequence[int] = ()) -> Message:
    """Return the tool message that answers every call of `message` in order."""
    calls = message.tool_calls
    assert len(calls) == len(texts)
    return Message(
        role=Role.TOOL,
        parts=tuple(
            ToolResponsePart(call.id, text, is_error=index in errors)
            for index, (call, text) in enumerate(zip(calls, texts, strict=True))
        ),
    )
