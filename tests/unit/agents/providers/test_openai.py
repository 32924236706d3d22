"""What differs between servers that say they speak chat completions, and what is sent to them."""

import asyncio
import json
from typing import Any

import pytest

from agents.contracts import (
    CompletionRequest,
    FinishReason,
    Message,
    ModelOptions,
    ProviderConfig,
    ProviderKind,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.errors import ProviderProtocolError
from agents.providers.build import build_provider
from agents.providers.history import MAX_RAW_ARGUMENTS_CHARS, ToolNames
from agents.providers.openai_history import wire_messages
from tests.conformance.provider.subjects import answer_of, ask, heard, vendor_subject
from tests.wire.http_server import Exchange, HttpServer

CALLS = {
    "tool_calls": [
        {"name": "weather", "arguments": {"city": "Oslo"}},
        {"name": "weather", "arguments": {"city": "Rome"}},
        {"name": "now", "arguments": {}},
    ]
}
EXPECTED = [("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"}), ("now", {})]


@pytest.mark.parametrize(
    "style",
    [
        [],
        ["whole_arguments"],
        ["object_arguments"],
        ["omit_ids"],
        ["omit_index"],
        ["index_zero"],
        ["same_ids"],
        ["finish_stop"],
        ["no_done"],
        ["comments", "crlf"],
        ["document"],
        ["omit_ids", "omit_index", "whole_arguments", "finish_stop", "no_usage"],
        ["omit_ids", "index_zero", "whole_arguments"],
    ],
    ids="+".join,
)
async def test_parallel_calls_survive_every_style(style: list[str]) -> None:
    async with vendor_subject("openai", {**CALLS, "style": style}) as (provider, _):
        deltas, last = await heard(provider, ask(user_message("go")))
    calls = last.message.tool_calls
    assert [(call.name, call.arguments) for call in calls] == EXPECTED
    assert len({call.id for call in calls}) == 3
    assert all(call.id for call in calls)
    assert last.finish is FinishReason.TOOL_CALLS
    assert [delta.index for delta in deltas if isinstance(delta, ToolCallDelta)] == [0, 1, 2]


async def test_usage_is_zero_where_the_server_sends_none() -> None:
    async with vendor_subject("openai", {"text": "hi", "style": ["no_usage"]}) as (provider, _):
        assert (await answer_of(provider, ask(user_message("go")))).usage == Usage()


async def test_arguments_that_are_no_object_are_kept_as_text_and_the_history_stays_valid() -> None:
    broken = {"name": "weather", "raw_arguments": '{"city": "Os'}
    array = {"name": "weather", "raw_arguments": "[1, 2]"}
    answers = ({"tool_calls": [broken, array]}, {"text": "sorry"})
    async with vendor_subject("openai", *answers) as (provider, server):
        asked = user_message("go")
        first = (await answer_of(provider, ask(asked))).message
        told = Message(
            role=Role.TOOL,
            parts=tuple(
                ToolResponsePart(call.id, "not valid JSON", is_error=True)
                for call in first.tool_calls
            ),
        )
        last = await answer_of(provider, ask(asked, first, told))
    one, two = first.tool_calls
    assert (one.arguments, one.raw_arguments) == (None, '{"city": "Os')
    assert (two.arguments, two.raw_arguments) == (None, "[1, 2]")
    assert last.message.text == "sorry"
    sent = server.requests[1].body["messages"][2]["tool_calls"]
    assert sent[0]["function"]["arguments"] == '{"unparsed_arguments":"{\\"city\\": \\"Os"}'


async def test_endless_argument_text_is_capped() -> None:
    call = {"name": "weather", "raw_arguments": '{"city": "' + "x" * 50_000}
    answer = {"tool_calls": [call], "chunk_chars": 5_000}
    async with vendor_subject("openai", answer) as (provider, _):
        made = (await answer_of(provider, ask(user_message("go")))).message.tool_calls[0]
    assert made.arguments is None
    assert len(made.raw_arguments) == MAX_RAW_ARGUMENTS_CHARS


async def test_too_many_calls_are_refused() -> None:
    answer = {"tool_calls": [{"name": "now"}] * 129}
    async with vendor_subject("openai", answer, max_retries=0) as (provider, _):
        with pytest.raises(ProviderProtocolError, match="more than 128 tool calls"):
            await answer_of(provider, ask(user_message("go")))


async def test_options_are_sent_in_the_vendors_words() -> None:
    options = ModelOptions(temperature=0.5, top_p=0.9, max_output_tokens=77, stop=("END",), seed=3)
    async with vendor_subject("openai", {"text": "hi"}) as (provider, server):
        await answer_of(provider, ask(user_message("go"), options=options, tools=()))
    assert server.requests[0].body == {
        "model": "model-1",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "go"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 77,
        "stop": ["END"],
        "seed": 3,
    }


def test_history_is_written_without_reasoning_and_with_one_message_a_result() -> None:
    messages = (
        user_message("q"),
        Message(
            role=Role.ASSISTANT,
            parts=(ReasoningPart("hm"), ToolCallPart(id="a", name="x.y", arguments={"n": 1})),
        ),
        Message(role=Role.TOOL, parts=(ToolResponsePart("a", "r"),)),
        Message(role=Role.ASSISTANT, parts=(TextPart("done"),)),
    )
    request = CompletionRequest(model="m", system="", messages=messages)
    function = {"name": "x_y", "arguments": '{"n":1}'}
    assert wire_messages(request, ToolNames(["x.y"])) == [
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "assistant", "content": "done"},
    ]


async def raw_answer(*frames: str, status: int = 200) -> tuple[Any, list[bytes]]:
    """Ask a server that sends exactly these bytes; return the outcome and the bodies it got."""
    bodies: list[bytes] = []

    async def handle(exchange: Exchange) -> None:
        bodies.append(exchange.request.body)
        if b"stream_options" in exchange.request.body and status == 400:
            await exchange.send(400, b'{"error":"unknown field stream_options"}')
            return
        await exchange.begin("text/event-stream")
        for frame in frames:
            await exchange.write(f"data: {frame}\n\n".encode())
        await exchange.end()

    server = HttpServer(handle)
    await server.start()
    url = f"http://127.0.0.1:{server.port}/v1"
    provider = build_provider(ProviderConfig(kind=ProviderKind.OPENAI, base_url=url, max_retries=0))
    try:
        answers = await asyncio.gather(
            answer_of(provider, ask(user_message("go"))), return_exceptions=True
        )
        return answers[0], bodies
    finally:
        await provider.aclose()
        await server.close()


async def test_a_server_that_refuses_the_wish_for_usage_is_asked_without() -> None:
    chunk = '{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}'
    answer, bodies = await raw_answer(chunk, status=400)
    assert answer.message.text == "ok"
    assert [b"stream_options" in body for body in bodies] == [True, False]


@pytest.mark.parametrize(
    ("delta", "parts", "finish"),
    [
        (
            '{"content":[{"thinking":[{"text":"hm"}]},{"type":"text","text":"so"}]}',
            (ReasoningPart("hm"), TextPart("so")),
            FinishReason.STOP,
        ),
        ('{"reasoning":"hm","content":"so"}', (ReasoningPart("hm"), TextPart("so")), None),
        ('{"refusal":"no"}', (TextPart("no"),), FinishReason.CONTENT_FILTER),
        ('{"content":"x","tool_calls":null,"odd":{"a":[1]}}', (TextPart("x"),), None),
    ],
)
async def test_content_in_other_shapes_is_understood(
    delta: str, parts: tuple[Any, ...], finish: FinishReason | None
) -> None:
    answer, _ = await raw_answer(
        '{"choices":[{"index":1,"delta":{"content":"another choice"}}]}',
        f'{{"choices":[{{"delta":{delta},"finish_reason":"stop"}}]}}',
    )
    assert answer.message.parts == parts
    assert answer.finish is (finish or FinishReason.STOP)


@pytest.mark.parametrize(
    "frame",
    [
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
        '{"choices":"none"}',
        "[DONE]",
        "nonsense",
        '"text"',
    ],
)
async def test_chunks_that_make_no_sense_are_protocol_errors(frame: str) -> None:
    answer, _ = await raw_answer(frame)
    assert type(answer) is ProviderProtocolError


async def test_repeated_names_and_changing_ids_do_not_split_a_call() -> None:
    def chunk(call_id: str, name: str, text: str) -> str:
        function = {"name": name, "arguments": text}
        call = {"index": 0, "id": call_id, "function": function}
        return json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]})

    repeated, _ = await raw_answer(
        chunk("a", "now", ""), chunk("a", "now", '{"x":'), chunk("a", "now", "1}"), "[DONE]"
    )
    assert [call.arguments for call in repeated.message.tool_calls] == [{"x": 1}]
    changing, _ = await raw_answer(chunk("a", "now", '{"x":'), chunk("b", "", "1}"), "[DONE]")
    assert [(call.id, call.arguments) for call in changing.message.tool_calls] == [("a", {"x": 1})]
