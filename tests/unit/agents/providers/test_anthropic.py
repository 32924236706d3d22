"""What is particular to the Messages API: thinking, opaque blocks, alternation, token counts."""

from agents.contracts import (
    CompletionRequest,
    FinishReason,
    Message,
    ModelOptions,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.providers.anthropic_history import OPAQUE, wire_id, wire_messages, wire_system
from agents.providers.history import ToolNames
from tests.conformance.provider.subjects import answer_of, ask, results, vendor_subject
from tests.wire.anthropic_server import signature_of

NOW = {"tool_calls": [{"name": "now", "arguments": {}}]}


async def test_thinking_goes_back_with_its_signature() -> None:
    answers = ({**NOW, "reasoning": "let me see"}, {"text": "noon"})
    async with vendor_subject("anthropic", *answers) as (provider, server):
        asked = user_message("what time?")
        first = (await answer_of(provider, ask(asked))).message
        await answer_of(provider, ask(asked, first, results(first, "12:00")))
    assert first.parts[0] == ReasoningPart("let me see", signature_of("let me see"))
    sent = server.requests[1].body["messages"][1]["content"]
    assert [block["type"] for block in sent] == ["thinking", "tool_use"]


async def test_blocks_we_have_no_part_for_go_back_word_for_word() -> None:
    paused = {"text": "searching", "style": ["server_tool", "redacted"], "finish": "continue"}
    async with vendor_subject("anthropic", paused, {"text": "found"}) as (provider, server):
        asked = user_message("search")
        first = await answer_of(provider, ask(asked))
        last = await answer_of(provider, ask(asked, first.message))
    assert first.finish is FinishReason.CONTINUE
    assert first.message.text == "searching"
    assert last.message.text == "found"
    assert server.requests[1].body["messages"][1]["content"] == [
        {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
        {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "weather"},
        },
        {"type": "text", "text": "searching"},
    ]


async def test_a_refusal_is_a_content_filter() -> None:
    async with vendor_subject("anthropic", {"text": "", "finish": "content_filter"}) as (it, _):
        last = await answer_of(it, ask(user_message("go")))
    assert (last.message.parts, last.finish) == ((), FinishReason.CONTENT_FILTER)


async def test_input_tokens_include_the_cached_ones() -> None:
    usage = {"input": 100, "cached": 60, "written": 30, "output": 9}
    async with vendor_subject("anthropic", {"text": "hi", "usage": usage}) as (provider, _):
        last = await answer_of(provider, ask(user_message("go")))
    assert last.usage == Usage(
        input_tokens=100, output_tokens=9, cache_read_tokens=60, cache_write_tokens=30
    )


async def test_input_that_comes_whole_at_the_start_is_taken() -> None:
    call = {"name": "weather", "arguments": {"city": "Oslo"}}
    answer = {"tool_calls": [call], "style": ["whole_input"]}
    async with vendor_subject("anthropic", answer) as (provider, _):
        last = await answer_of(provider, ask(user_message("go")))
    assert last.message.tool_calls[0].arguments == {"city": "Oslo"}


async def test_broken_arguments_are_kept_and_the_history_stays_valid() -> None:
    answers = ({"tool_calls": [{"name": "weather", "raw_arguments": '{"a'}]}, {"text": "sorry"})
    async with vendor_subject("anthropic", *answers) as (provider, server):
        asked = user_message("go")
        first = (await answer_of(provider, ask(asked))).message
        told = results(first, "not valid JSON", errors=[0])
        last = await answer_of(provider, ask(asked, first, told))
    call = first.tool_calls[0]
    assert (call.arguments, call.raw_arguments) == (None, '{"a')
    assert last.message.text == "sorry"
    use, result = (server.requests[1].body["messages"][n]["content"][0] for n in (1, 2))
    assert use["input"] == {"unparsed_arguments": '{"a'}
    assert result["is_error"] is True


async def test_the_request_uses_the_vendors_words() -> None:
    options = ModelOptions(temperature=0.5, max_output_tokens=77, stop=("END",), seed=3)
    async with vendor_subject("anthropic", {"text": "hi"}) as (provider, server):
        await answer_of(provider, ask(user_message("go"), options=options, tools=()))
    assert server.requests[0].body == {
        "model": "model-1",
        "max_tokens": 77,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "go"}]}],
        "stream": True,
        "system": "Be brief.",
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }
    assert server.requests[0].headers["anthropic-version"] == "2023-06-01"


def test_neighbours_merge_results_come_first_and_nothing_is_empty() -> None:
    call = ToolCallPart(id="a", name="now", arguments={})
    messages = (
        user_message("one"),
        user_message("two"),
        Message(role=Role.SYSTEM, parts=(TextPart("and kindly"),)),
        Message(role=Role.ASSISTANT, parts=(TextPart("  "), ReasoningPart("unsigned"), call)),
        Message(role=Role.TOOL, parts=(ToolResponsePart("a", ""),)),
        user_message("three"),
        Message(role=Role.ASSISTANT, parts=(TextPart(""),)),
        user_message("four"),
    )
    assert wire_messages(messages, ToolNames(["now"])) == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "now", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a"},
                {"type": "text", "text": "three"},
                {"type": "text", "text": "four"},
            ],
        },
    ]
    request = CompletionRequest(model="m", system="Be brief", messages=messages)
    assert wire_system(request) == "Be brief\n\nand kindly"


def test_ids_of_other_vendors_are_written_in_allowed_letters() -> None:
    assert wire_id("toolu_1") == "toolu_1"
    assert wire_id("functions.now:0") == wire_id("functions.now:0")
    assert wire_id("functions.now:0") != wire_id("functions.now:1")
    assert wire_id("functions.now:0").startswith("call_")
    assert OPAQUE.endswith(":")
