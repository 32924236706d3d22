"""Histories as they are stored and sent: redacted, bounded, and valid wherever they were cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.contracts import (
    CompletionRequest,
    Message,
    ProviderConfig,
    ProviderKind,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResponsePart,
    user_message,
)
from agents.engine.history import (
    MAX_ARGUMENTS_DEPTH,
    MAX_LABEL_CHARS,
    UNANSWERED,
    redacted,
    repaired,
)
from agents.providers.build import build_provider
from tests.conformance.provider.subjects import KEY, VENDORS
from tests.wire.vendor_server import serving

SECRET = "sk-abcdefghijklmnopqrstuvwxyz"


def assistant(*parts: Any) -> Message:
    return Message(role=Role.ASSISTANT, parts=parts)


def result(call_id: str, text: str = "ok", *, is_error: bool = False) -> Message:
    return Message(role=Role.TOOL, parts=(ToolResponsePart(call_id, text, is_error),))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def call(call_id: str) -> ToolCallPart:
    return ToolCallPart(id=call_id, name="view", arguments={})


# A conversation with everything in it that a run can leave: two users in a row after a nudge,
# parallel calls answered out of order, reasoning, a call without valid arguments.
WHOLE = [
    user_message("Begin."),
    user_message("Your last answer was empty."),
    assistant(ReasoningPart("hm"), TextPart("I look."), call("a"), call("b")),
    result("b"),
    result("a", "no", is_error=True),
    assistant(ToolCallPart(id="c", name="view", arguments=None, raw_arguments="{oops")),
    result("c", ""),
    assistant(TextPart("Half.")),
    user_message("Go on."),
    assistant(call("d"), call("e"), call("f")),
    result("e"),
    result("d"),
    result("f"),
    assistant(TextPart("Done.")),
]


def test_a_whole_history_stays_as_it_is() -> None:
    assert repaired(WHOLE) == WHOLE
    assert repaired([]) == []


def test_open_calls_are_answered_behind_those_that_were() -> None:
    assert repaired(WHOLE[:11]) == [
        *WHOLE[:11],
        *(result(i, UNANSWERED, is_error=True) for i in "df"),
    ]


def test_open_calls_are_answered_before_the_conversation_goes_on() -> None:
    later = user_message("Something else.")

    assert repaired([*WHOLE[:4], later]) == [
        *WHOLE[:4],
        result("a", UNANSWERED, is_error=True),
        later,
    ]


def test_repairing_twice_changes_nothing() -> None:
    for end in range(len(WHOLE)):
        once = repaired(WHOLE[:end])
        assert repaired(once) == once


@pytest.mark.parametrize("kind", VENDORS)
async def test_every_truncation_is_accepted_by_the_vendors(kind: str) -> None:
    vendor, path = VENDORS[kind]
    answers = [{"when": {"contains": ""}, "text": "fine"}]
    async with serving(vendor(), *answers) as server:
        config = ProviderConfig(
            kind=ProviderKind(kind), base_url=server.url + path, api_key=KEY, max_retries=0
        )
        provider = build_provider(config)
        try:
            for end in range(len(WHOLE) + 1):
                messages = (*repaired(WHOLE[:end]), user_message("And now?"))
                request = CompletionRequest(model="m", system="Be brief.", messages=messages)
                async for _ in provider.complete(request):
                    pass
        finally:
            await provider.aclose()
    assert [recorded.status for recorded in server.requests] == [200] * (len(WHOLE) + 1)


def test_secrets_are_taken_out_of_every_part_that_a_model_writes() -> None:
    message = assistant(
        TextPart(f"use {SECRET}"),
        ToolCallPart(
            id="a", name=f"tool-{SECRET}", arguments={"key": [SECRET]}, raw_arguments=SECRET
        ),
    )

    assert redacted(message) == assistant(
        TextPart("use [redacted]"),
        ToolCallPart(
            id="a",
            name="tool-sk-abcdefghijklmnopqrstuvwxyz",
            arguments={"key": ["[redacted]"]},
            raw_arguments="[redacted]",
        ),
    )


def test_changed_reasoning_loses_its_signature() -> None:
    message = assistant(
        ReasoningPart("plain", "sig-1"),
        ReasoningPart(f"use {SECRET}", "sig-2"),
        ReasoningPart("", f"block with {SECRET}"),
    )

    assert redacted(message) == assistant(
        ReasoningPart("plain", "sig-1"), ReasoningPart("use [redacted]", ""), ReasoningPart("", "")
    )


def test_results_are_left_as_the_door_settled_them() -> None:
    assert redacted(result("a", SECRET)) == result("a", SECRET)


def test_endless_names_and_ids_are_bounded_and_stay_different() -> None:
    parts = [
        ToolCallPart(id="i" * size, name="n" * size, arguments=None) for size in (200, 5000, 5001)
    ]
    exact, first, second = redacted(assistant(*parts)).tool_calls

    assert (exact.id, exact.name) == ("i" * 200, "n" * 200)
    assert len(first.id) == len(first.name) == len(second.id) == MAX_LABEL_CHARS
    assert len({exact.id, first.id, second.id}) == 3


def test_what_no_database_takes_is_replaced() -> None:
    odd = ToolCallPart(
        id="a\x00\ud800", name="b\x00", arguments={"\x00": "\udfff"}, signature="\x00"
    )

    (call,) = redacted(assistant(odd)).tool_calls

    assert call == ToolCallPart(id="a\ufffd\ufffd", name="b\ufffd", arguments={"\ufffd": "\ufffd"})


any_text = st.text(st.characters(exclude_categories=()), max_size=40)
any_part = st.one_of(
    st.builds(TextPart, any_text),
    st.builds(ReasoningPart, any_text, any_text),
    st.builds(
        ToolCallPart,
        id=any_text,
        name=any_text,
        arguments=st.none() | st.dictionaries(any_text, any_text | st.integers(), max_size=3),
        raw_arguments=any_text,
        signature=any_text,
    ),
)


@given(st.lists(any_part, max_size=4))
def test_redacting_is_idempotent_and_leaves_only_storable_text(parts: list[Any]) -> None:
    once = redacted(assistant(*parts))

    assert redacted(once) == once
    repr(once).encode()
    assert "\\x00" not in repr(once).replace("\\\\", "")


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        ({"n": [float("inf")]}, "(a number that is out of range)"),
        ({"n": float("nan")}, "(a number that is out of range)"),
        ({"n": nested(MAX_ARGUMENTS_DEPTH)}, "(nested deeper than"),
    ],
)
def test_arguments_that_cannot_be_worked_with_are_told_instead(value: Any, trouble: str) -> None:
    part = ToolCallPart(id="a", name="b", arguments=value, raw_arguments="x")

    (call,) = redacted(assistant(part)).tool_calls

    assert call.arguments is None
    assert call.raw_arguments.startswith(trouble)
