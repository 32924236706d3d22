"""Scripts: which step answers, what it says, how it fails, and that nothing else decides."""

import time

import pytest

from agents.contracts import (
    FinishReason,
    Message,
    ProviderConfig,
    ProviderKind,
    ReasoningDelta,
    ReasoningPart,
    Role,
    TextDelta,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    Usage,
    user_message,
)
from agents.errors import (
    ProviderAuthError,
    ProviderConnectionError,
    ProviderError,
    ProviderOverloadedError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderTimeoutError,
)
from agents.providers.scripted import ScriptedProvider
from tests.conformance.provider.subjects import answer_of, ask, heard, results


def scripted(script: str) -> ScriptedProvider:
    return ScriptedProvider(ProviderConfig(kind=ProviderKind.SCRIPTED, name="demo", script=script))


async def said(provider: ScriptedProvider, *messages: Message, agent: str = "") -> str:
    return (await answer_of(provider, ask(*messages, agent=agent))).message.text


ANSWER = Message(role=Role.ASSISTANT, parts=(TextPart("…"),))


async def test_an_empty_script_echoes_politely() -> None:
    text = await said(scripted("  \n"), user_message("good day"))
    assert text.startswith("You said: good day. This is the built-in script")


async def test_steps_follow_the_answers_since_the_last_user_message() -> None:
    provider = scripted("steps: [{text: one}, {text: two, repeat: 2}, {text: three}]")
    asked = user_message("go")
    heard_texts = [await said(provider, asked, *[ANSWER] * turn) for turn in range(4)]
    assert heard_texts == ["one", "two", "two", "three"]
    assert await said(provider, asked, ANSWER, ANSWER, asked) == "one"
    with pytest.raises(ProviderRequestError, match=r"demo has no answer number 5.*line 1"):
        await said(provider, asked, *[ANSWER] * 4)


async def test_a_step_may_repeat_forever() -> None:
    provider = scripted("steps: [{text: one}, {text: more, repeat: forever}]")
    assert await said(provider, user_message("go"), *[ANSWER] * 99) == "more"


BRANCHES = """
branches:
  - when: {contains: [weather, rain]}
    steps: [{text: weather}]
  - when: {equals: " exactly this "}
    steps: [{text: equal}]
  - when: {agent: writer, step: 1}
    steps: [{text: zero}, {text: "writer's second"}]
  - steps: [{text: other, repeat: forever}]
"""


@pytest.mark.parametrize(
    ("text", "agent", "before", "expected"),
    [
        ("Will it RAIN?", "", 0, "weather"),
        ("exactly this", "", 0, "equal"),
        ("exactly this too", "", 0, "other"),
        ("x", "writer", 0, "other"),
        ("x", "writer", 1, "writer's second"),
        ("x", "reader", 1, "other"),
    ],
)
async def test_the_first_branch_that_holds_answers(
    text: str, agent: str, before: int, expected: str
) -> None:
    provider = scripted(BRANCHES)
    assert await said(provider, user_message(text), *[ANSWER] * before, agent=agent) == expected


async def test_no_branch_that_holds_is_an_error_with_a_remedy() -> None:
    provider = scripted("branches: [{when: {contains: x}, steps: [{text: y}]}]")
    with pytest.raises(ProviderRequestError, match=r"No branch.*fits the input.*without `when`"):
        await said(provider, user_message("z"))


CALLING = """
steps:
  - when: {last_tool: weather}
    text: "In ${input} it is ${last_result.sky.0}; raw ${result:weather}; $${kept}"
  - reasoning: I must look.
    text: Looking.
    tool_calls:
      - {name: weather, arguments: {city: "${input}", deep: [{n: 1, t: "${agent}/${step}"}]}}
      - {name: now}
      - {name: broken, raw_arguments: '{"x'}
"""


async def test_calls_and_results_are_filled_in() -> None:
    provider = scripted(CALLING)
    asked = user_message("Oslo")
    deltas, last = await heard(provider, ask(asked, agent="guide"))
    assert deltas[:2] == [ReasoningDelta("I must look."), TextDelta("Looking.")]
    assert last.finish is FinishReason.TOOL_CALLS
    arguments = {"city": "Oslo", "deep": [{"n": 1, "t": "guide/0"}]}
    assert last.message.parts == (
        ReasoningPart("I must look."),
        TextPart("Looking."),
        ToolCallPart(id="call_1_0", name="weather", arguments=arguments),
        ToolCallPart(id="call_1_1", name="now", arguments={}),
        ToolCallPart(id="call_1_2", name="broken", arguments=None, raw_arguments='{"x'),
    )
    sky = '{"sky":["grey"]}'
    first_only = Message(role=Role.TOOL, parts=(ToolResponsePart("call_1_0", sky),))
    text = await said(provider, asked, last.message, first_only)
    assert text == 'In Oslo it is grey; raw {"sky":["grey"]}; ${kept}'


async def test_a_value_that_is_one_path_keeps_its_json_type() -> None:
    provider = scripted(
        "steps: [{tool_calls: [{name: now}]}, "
        '{tool_calls: [{name: add, arguments: {n: "${last_result.n}", t: "n=${last_result.n}"}}]}]'
    )
    asked = user_message("go")
    first = (await answer_of(provider, ask(asked))).message
    last = await answer_of(provider, ask(asked, first, results(first, '{"n": 7}')))
    assert last.message.tool_calls[0].arguments == {"n": 7, "t": "n=7"}


@pytest.mark.parametrize(
    ("hole", "result", "why"),
    [
        ("last_result", None, "no such tool has answered yet"),
        ("result:other", "{}", "no such tool has answered yet"),
        ("last_result.a", "{}", "has no `a`"),
        ("last_result.a", "no json", "has no `a`"),
        ("last_result.5", "[1]", "has no `5`"),
    ],
)
async def test_a_value_that_is_not_there_is_an_error(
    hole: str, result: str | None, why: str
) -> None:
    provider = scripted(f'steps: [{{text: "${{{hole}}}", repeat: forever}}]')
    call = ToolCallPart(id="c", name="now", arguments={})
    history = [user_message("go")]
    if result is not None:
        history.append(Message(role=Role.ASSISTANT, parts=(call,)))
        history.append(Message(role=Role.TOOL, parts=(ToolResponsePart("c", result),)))
    with pytest.raises(ProviderRequestError, match=why):
        await said(provider, *history)


async def test_what_is_put_in_is_not_read_again() -> None:
    provider = scripted('steps: [{text: "${input}"}]')
    assert await said(provider, user_message("${agent} $$")) == "${agent} $$"


async def test_text_streams_in_pieces() -> None:
    deltas, last = await heard(
        scripted("{chunk_chars: 4, steps: [{text: abcdefghij}]}"), ask(user_message("go"))
    )
    assert deltas == [TextDelta("abcd"), TextDelta("efgh"), TextDelta("ij")]
    assert last.message.text == "abcdefghij"
    deltas, _ = await heard(
        scripted("steps: [{text: ' one  two\\n', chunk_ms: 1}]"), ask(user_message("go"))
    )
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == " one  two\\n"
    assert len(deltas) > 1


async def test_a_delay_is_kept() -> None:
    began = time.monotonic()
    await said(scripted("steps: [{text: x, delay_ms: 20}]"), user_message("go"))
    assert time.monotonic() - began >= 0.02


async def test_finish_and_usage_are_as_written_or_estimated() -> None:
    usage = "{input_tokens: 9, output_tokens: 8, cache_read_tokens: 7}"
    provider = scripted(f"steps: [{{text: x, finish: continue, usage: {usage}}}, {{text: abcde}}]")
    last = await answer_of(provider, ask(user_message("go")))
    assert last.finish is FinishReason.CONTINUE
    assert last.usage == Usage(input_tokens=9, output_tokens=8, cache_read_tokens=7)
    last = await answer_of(provider, ask(user_message("go"), ANSWER))
    assert last.usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rate_limit", ProviderRateLimitError),
        ("overloaded", ProviderOverloadedError),
        ("timeout", ProviderTimeoutError),
        ("connection", ProviderConnectionError),
        ("protocol", ProviderProtocolError),
        ("auth", ProviderAuthError),
        ("request", ProviderRequestError),
    ],
)
async def test_each_error_kind(kind: str, expected: type[ProviderError]) -> None:
    provider = scripted(
        f"steps:\n  - error: {{kind: {kind}, message: no luck, retry_after_seconds: 1.5}}"
    )
    with pytest.raises(expected, match=r"demo: no luck \(script, line 2\)") as caught:
        await said(provider, user_message("go"))
    assert type(caught.value) is expected
    assert caught.value.retry_after_seconds == 1.5


async def test_an_error_with_times_gives_way_per_run_and_place() -> None:
    provider = scripted("steps: [{text: fine, error: {kind: overloaded, times: 2}}]")
    for run in ("a", "b"):
        for _ in range(2):
            with pytest.raises(ProviderOverloadedError):
                await answer_of(provider, ask(user_message("go"), run_id=run))
        last = await answer_of(provider, ask(user_message("go"), run_id=run))
        assert last.message.text == "fine"


async def test_an_error_may_cut_the_text() -> None:
    provider = scripted("steps: [{text: abcdef, error: {kind: connection, after_chars: 3}}]")
    deltas = provider.complete(ask(user_message("go")))
    assert await anext(deltas) == TextDelta("abc")
    with pytest.raises(ProviderConnectionError):
        await anext(deltas)


async def test_ids_are_new_also_where_the_history_was_shortened() -> None:
    provider = scripted("steps: [{tool_calls: [{name: now}], repeat: forever}]")
    old = Message(
        role=Role.ASSISTANT, parts=(ToolCallPart(id="call_2_0", name="now", arguments={}),)
    )
    last = await answer_of(provider, ask(old, user_message("go")))
    assert [call.id for call in last.message.tool_calls] == ["call_2_0_"]


async def test_memory_for_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.providers.scripted._MAX_REMEMBERED_FAILURES", 3)
    provider = scripted("steps: [{text: x, error: {kind: overloaded, times: 1}}]")
    for run in range(5):
        with pytest.raises(ProviderOverloadedError):
            await answer_of(provider, ask(user_message("go"), run_id=str(run)))
    assert len(provider._failed) == 3
    await provider.aclose()
