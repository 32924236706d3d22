"""One suite for every provider: the same conversation in, the same canonical messages out."""

import asyncio

import pytest

from agents.contracts import (
    FinishReason,
    Message,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    user_message,
)
from tests.conformance.provider.subjects import (
    ALL,
    KEY,
    VENDORS,
    answer_of,
    ask,
    heard,
    results,
    subject,
    without_ids,
)

pytestmark = pytest.mark.parametrize("kind", ALL)

TWO_CALLS = {
    "reasoning": "Two cities, two questions.",
    "text": "I shall look at both: Århus and Zürich 🌦.",
    "tool_calls": [
        {"name": "weather", "arguments": {"city": "Århus", "days": 2}},
        {"name": "files.view", "arguments": {"path": 'notes "1".txt'}},
        {"name": "now", "arguments": {}},
    ],
    "usage": {"input": 120, "output": 40, "cached": 100},
}


async def test_text_streams_and_ends_with_one_whole_answer(kind: str) -> None:
    async with subject(kind, {"text": "Good morning to you."}) as provider:
        deltas, last = await heard(provider, ask(user_message("hello")))
    streamed = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert streamed == "Good morning to you."
    assert last.message == Message(role=Role.ASSISTANT, parts=(TextPart("Good morning to you."),))
    assert last.finish is FinishReason.STOP
    assert last.usage == Usage(input_tokens=10, output_tokens=5)
    assert last.model.startswith("model-1")


async def test_parallel_calls_arrive_whole_and_in_order(kind: str) -> None:
    async with subject(kind, TWO_CALLS) as provider:
        deltas, last = await heard(provider, ask(user_message("and the weather?")))
    assert without_ids(last.message).parts == (
        ReasoningPart("Two cities, two questions."),
        TextPart("I shall look at both: Århus and Zürich 🌦."),
        ToolCallPart(id="", name="weather", arguments={"city": "Århus", "days": 2}),
        ToolCallPart(id="", name="files.view", arguments={"path": 'notes "1".txt'}),
        ToolCallPart(id="", name="now", arguments={}),
    )
    assert last.finish is FinishReason.TOOL_CALLS
    assert last.usage == Usage(input_tokens=120, output_tokens=40, cache_read_tokens=100)
    assert len({call.id for call in last.message.tool_calls}) == 3
    announced = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert [(delta.index, delta.name) for delta in announced] == [
        (0, "weather"),
        (1, "files.view"),
        (2, "now"),
    ]
    thoughts = [delta.text for delta in deltas if isinstance(delta, ReasoningDelta)]
    assert "".join(thoughts) == "Two cities, two questions."


async def test_history_with_calls_results_and_failures_is_accepted_again(kind: str) -> None:
    again = {"tool_calls": [{"name": "now", "arguments": {}}]}
    async with subject(kind, TWO_CALLS, again, {"text": "Rain."}) as provider:
        asked = user_message("and the weather?")
        first = (await answer_of(provider, ask(asked))).message
        told = results(first, "rain", "", "no clock", errors=[2])
        second = (await answer_of(provider, ask(asked, first, told))).message
        told_again = results(second, "noon")
        history = (asked, first, told, second, told_again)
        last = await answer_of(provider, ask(*history))
    assert last.message.text == "Rain."
    assert last.finish is FinishReason.STOP
    ids = [call.id for message in history for call in message.tool_calls]
    assert len(set(ids)) == 4


async def test_the_same_request_gets_the_same_answer_twice(kind: str) -> None:
    async with subject(kind, TWO_CALLS, {"text": "Rain."}) as provider:
        request = ask(user_message("and the weather?"))
        once, twice = await answer_of(provider, request), await answer_of(provider, request)
    assert without_ids(once.message) == without_ids(twice.message)


async def test_an_answer_cut_by_the_output_limit_says_so(kind: str) -> None:
    async with subject(kind, {"text": "Once upon a", "finish": "length"}) as provider:
        last = await answer_of(provider, ask(user_message("tell me a story")))
    assert (last.message.text, last.finish) == ("Once upon a", FinishReason.LENGTH)


async def test_fifty_answers_at_once_do_not_mix(kind: str) -> None:
    async with subject(kind, {"text": "x" * 400}) as provider:
        request = ask(user_message("hello"))
        answers = await asyncio.gather(*(answer_of(provider, request) for _ in range(50)))
    assert {answer.message.text for answer in answers} == {"x" * 400}


async def test_no_representation_shows_the_key(kind: str) -> None:
    async with subject(kind, {"text": "hi"}) as provider:
        shown = repr(provider) + str(provider)
    assert KEY not in shown
    assert "Provider(" in shown


@pytest.mark.parametrize("second", VENDORS)
async def test_what_one_provider_said_another_can_take_up(kind: str, second: str) -> None:
    async with subject(kind, TWO_CALLS, {"text": "unused"}) as first_provider:
        asked = user_message("and the weather?")
        first = (await answer_of(first_provider, ask(asked))).message
    told = results(first, "rain", "no such file", "", errors=[1])
    async with subject(second, {"text": "unused"}, {"text": "Rain."}) as provider:
        last = await answer_of(provider, ask(asked, first, told, model="gemini-3-x"))
    assert last.message.text == "Rain."
