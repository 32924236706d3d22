"""What is particular to Gemini: schemas, signatures, blocked prompts, results by name."""

import json

import pytest

from agents.contracts import (
    FinishReason,
    Message,
    ModelOptions,
    Role,
    ToolCallPart,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.errors import ProviderProtocolError
from agents.providers.gemini_schema import cleaned_schema
from tests.conformance.provider.subjects import answer_of, ask, results, vendor_subject

TWO = {"tool_calls": [{"name": "now"}, {"name": "weather", "arguments": {"city": "Oslo"}}]}


async def test_signed_calls_go_back_signed() -> None:
    async with vendor_subject("gemini", TWO, {"text": "noon"}) as (provider, server):
        asked = user_message("what time?")
        first = (await answer_of(provider, ask(asked, model="gemini-3-pro"))).message
        told = results(first, "12:00", "cold", errors=[1])
        await answer_of(provider, ask(asked, first, told, model="gemini-3-pro"))
    assert [call.signature for call in first.tool_calls] == ["c2lnbmVkLWNhbGw=", ""]
    assert server.requests[1].body["contents"][2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "now", "response": {"result": "12:00"}}},
            {"functionResponse": {"name": "weather", "response": {"error": "cold"}}},
        ],
    }


async def test_calls_of_another_vendor_are_accepted_without_signature() -> None:
    history = (
        user_message("what time?"),
        Message(
            role=Role.ASSISTANT, parts=(ToolCallPart(id="call_1", name="now", arguments=None),)
        ),
        Message(role=Role.TOOL, parts=(ToolResponsePart("call_1", "12:00"),)),
    )
    async with vendor_subject("gemini", {"text": "x"}, {"text": "noon"}) as (provider, _):
        last = await answer_of(provider, ask(*history, model="gemini-3-pro"))
    assert last.message.text == "noon"


async def test_a_blocked_prompt_is_a_content_filter() -> None:
    async with vendor_subject("gemini", {"style": ["blocked"]}) as (provider, _):
        last = await answer_of(provider, ask(user_message("go")))
    assert (last.message.parts, last.finish) == ((), FinishReason.CONTENT_FILTER)


async def test_a_call_the_model_could_not_write_is_worth_one_retry() -> None:
    async with vendor_subject("gemini", {"style": ["broken_call"]}) as (provider, server):
        with pytest.raises(ProviderProtocolError, match="tool call it could not write down"):
            await answer_of(provider, ask(user_message("go")))
    assert len(server.requests) == 2


async def test_output_tokens_include_thoughts() -> None:
    usage = {"input": 50, "cached": 20, "output": 30, "reasoning": 12}
    async with vendor_subject("gemini", {"text": "hi", "usage": usage}) as (provider, _):
        last = await answer_of(provider, ask(user_message("go")))
    assert last.usage == Usage(
        input_tokens=50, output_tokens=30, cache_read_tokens=20, reasoning_tokens=12
    )


async def test_the_request_uses_the_vendors_words() -> None:
    options = ModelOptions(
        temperature=0.5,
        max_output_tokens=77,
        stop=("END",),
        extra={"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    )
    async with vendor_subject("gemini", {"text": "hi"}) as (provider, server):
        await answer_of(provider, ask(user_message("go"), options=options, tools=()))
    assert server.requests[0].body == {
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.5,
            "maxOutputTokens": 77,
            "stopSequences": ["END"],
            "thinkingConfig": {"thinkingBudget": 0},
        },
    }
    assert "key" not in server.requests[0].path


def test_unsupported_keywords_are_left_out() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "a": {"type": "string", "format": "uri", "default": "q", "minLength": 1},
            "b": {"const": "only"},
            "c": {"type": ["integer", "null"], "exclusiveMinimum": 0, "format": "int64"},
            "d": {"enum": [1, 2], "type": "integer"},
            "e": {"type": "array"},
            "f": {"oneOf": [{"type": "string"}, {"type": "null"}]},
            "g": {"type": ["string", "number"]},
            "h": {"type": "object", "properties": {}},
        },
        "required": ["a", "z"],
    }
    assert cleaned_schema(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "minLength": 1},
            "b": {"enum": ["only"], "type": "string"},
            "c": {"type": "integer", "nullable": True, "format": "int64"},
            "d": {"type": "integer"},
            "e": {"type": "array", "items": {"type": "string"}},
            "f": {"type": "string", "nullable": True},
            "g": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            "h": {"type": "object"},
        },
        "required": ["a"],
    }


def test_references_are_put_in_and_circles_end() -> None:
    schema = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/node"}},
        "$defs": {
            "name": {"type": "string"},
            "node": {
                "allOf": [
                    {"properties": {"name": {"$ref": "#/$defs/name"}}, "required": ["name"]},
                    {"properties": {"next": {"$ref": "#/$defs/node"}}},
                ]
            },
        },
    }
    cleaned = cleaned_schema(schema)
    assert cleaned is not None
    tree = cleaned["properties"]["tree"]
    assert tree["properties"]["name"] == {"type": "string"}
    assert tree["required"] == ["name"]
    assert tree["properties"]["next"] == {"type": "object"}


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_no_properties_means_no_parameters(schema: dict[str, object]) -> None:
    assert cleaned_schema(schema) is None


def test_references_that_fan_out_do_not_grow_without_bound() -> None:
    names = [f"n{number}" for number in range(30)]
    definitions: dict[str, object] = {
        name: {
            "type": "object",
            "properties": {"a": {"$ref": f"#/d/{then}"}, "b": {"$ref": f"#/d/{then}"}},
        }
        for name, then in zip(names, [*names[1:], "end"], strict=True)
    }
    schema = {"type": "object", "properties": {"x": {"$ref": "#/d/n0"}}, "d": definitions}
    assert len(json.dumps(cleaned_schema(schema))) < 1_000_000
