"""Performing: each effect class, each way a call can end."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from core.errors import LeaseLostError
from plugins.contracts import (
    CallState,
    EffectClass,
    Park,
    ProbeAnswer,
    ToolContext,
    ToolResult,
    WaitKind,
)
from plugins.dispatch import Settlement
from plugins.errors import OutcomeUnknownError, ToolError
from tests.unit.plugins.dispatch_kit import (
    CLAIMING,
    DONE,
    ActingTool,
    MemoryLog,
    ProbingTool,
    perform,
    probe_says,
    say_done,
)

EFFECTS = list(EffectClass)


async def is_unknown(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    raise OutcomeUnknownError("The connection broke after the request was sent.")


async def is_broken(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    raise ZeroDivisionError("with sk-abcdefghijklmnopqrstuvwxyz inside")


async def never_ends(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("effect", [EffectClass.READ, EffectClass.IDEMPOTENT])
async def test_what_may_be_repeated_runs_at_once(effect: EffectClass) -> None:
    tool, log = ActingTool(effect), MemoryLog()

    assert await perform(tool, log) == DONE
    assert log.moves == []
    assert [seen.attempt for seen in tool.contexts] == [1]


@pytest.mark.parametrize("effect", CLAIMING)
async def test_other_effects_are_claimed_and_dispatched_first(effect: EffectClass) -> None:
    log = MemoryLog()
    seen: list[list[tuple[str, str, int]]] = []

    async def look(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        seen.append(list(log.moves))
        return ToolResult(text="done")

    tool = ActingTool(effect, look)

    assert await perform(tool, log) == DONE
    both = [("planned", "claimed", 1), ("claimed", "dispatched", 1)]
    assert seen == [both]
    assert log.moves == both
    assert [context.attempt for context in tool.contexts] == [1]


async def test_a_claimed_call_found_again_is_only_dispatched() -> None:
    tool, log = ActingTool(EffectClass.IRREVERSIBLE), MemoryLog()

    assert await perform(tool, log, state=CallState.CLAIMED, attempt=1) == DONE
    assert log.moves == [("claimed", "dispatched", 2)]


@pytest.mark.parametrize("effect", CLAIMING)
async def test_a_lost_lease_stops_before_the_effect(effect: EffectClass) -> None:
    tool = ActingTool(effect)

    with pytest.raises(LeaseLostError):
        await perform(tool, MemoryLog(refuses=LeaseLostError("taken over")))
    assert tool.contexts == []


@pytest.mark.parametrize("effect", EFFECTS)
async def test_a_clean_failure_is_known(effect: EffectClass) -> None:
    async def refuse(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        raise ToolError("There is no such order.", remedy="List the orders.")

    settled = await perform(ActingTool(effect, refuse), MemoryLog())

    assert settled.state is CallState.FAILED
    assert settled.is_error
    assert settled.text == "There is no such order. List the orders."


async def test_an_error_result_is_shown_and_failed() -> None:
    async def fail(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="exit status 1", is_error=True)

    settled = await perform(ActingTool(EffectClass.IRREVERSIBLE, fail), MemoryLog())

    assert (settled.state, settled.text, settled.is_error) == (
        CallState.FAILED,
        "exit status 1",
        True,
    )


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (never_ends, "act did not answer within 0.01 seconds."),
        (is_broken, "act broke: ZeroDivisionError: with [redacted] inside"),
        (is_unknown, "The connection broke after the request was sent."),
    ],
)
async def test_silence_and_defects_are_failures_only_where_a_repeat_is_harmless(
    act: Any, sentence: str
) -> None:
    options: dict[str, Any] = {"timeout_seconds": 0.01}
    read = await perform(ActingTool(EffectClass.READ, act, **options), MemoryLog())
    final = await perform(ActingTool(EffectClass.IRREVERSIBLE, act, **options), MemoryLog())

    assert (read.state, read.text, read.is_error) == (CallState.FAILED, sentence, True)
    assert (final.state, final.reason, final.text) == (CallState.IN_DOUBT, sentence, "")
    assert not final.is_final


async def test_a_tool_that_cancels_itself_does_not_cancel_its_run() -> None:
    async def cancel_itself(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        raise asyncio.CancelledError

    settled = await perform(ActingTool(EffectClass.READ, cancel_itself), MemoryLog())

    assert settled.text == "act broke: it was cancelled from within."


async def test_being_cancelled_by_the_caller_passes() -> None:
    begun = asyncio.Event()

    async def begin(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        begun.set()
        return await never_ends(arguments, context)

    task = asyncio.create_task(perform(ActingTool(EffectClass.READ, begin), MemoryLog()))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_keyed_call_of_unknown_outcome_is_repeated_with_its_key() -> None:
    tool, log = ActingTool(EffectClass.KEYED, is_unknown, is_unknown, say_done), MemoryLog()

    assert await perform(tool, log) == DONE
    assert [(seen.idempotency_key, seen.attempt) for seen in tool.contexts] == [
        ("key-1", 1),
        ("key-1", 2),
        ("key-1", 3),
    ]
    assert log.moves[2:] == [("dispatched", "dispatched", 2), ("dispatched", "dispatched", 3)]


async def test_a_keyed_call_that_stays_unknown_is_in_doubt_after_three_attempts() -> None:
    tool, log = ActingTool(EffectClass.KEYED, is_unknown), MemoryLog()

    settled = await perform(tool, log)

    assert settled.state is CallState.IN_DOUBT
    assert len(tool.contexts) == 3
    assert len(log.moves) == 4


async def test_an_irreversible_call_of_unknown_outcome_is_never_repeated() -> None:
    tool = ActingTool(EffectClass.IRREVERSIBLE, is_unknown)

    assert (await perform(tool, MemoryLog())).state is CallState.IN_DOUBT
    assert len(tool.contexts) == 1


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (probe_says(ProbeAnswer.HAPPENED, "order 7"), CallState.COMMITTED, "order 7"),
        (
            probe_says(ProbeAnswer.HAPPENED),
            CallState.COMMITTED,
            "Done (confirmed by the target).",
        ),
        (
            probe_says(ProbeAnswer.NOT_HAPPENED),
            CallState.FAILED,
            "The connection broke after the request was sent. The target says it did not happen.",
        ),
        (probe_says(ProbeAnswer.UNKNOWN), CallState.IN_DOUBT, ""),
    ],
)
async def test_a_probe_settles_what_a_live_call_left_open(
    answer: Any, state: CallState, text: str
) -> None:
    tool = ProbingTool(EffectClass.IRREVERSIBLE, is_unknown, answer=answer)

    settled = await perform(tool, MemoryLog())

    assert (settled.state, settled.text) == (state, text)
    assert tool.probed == ["key-1"]
    assert len(tool.contexts) == 1


async def test_a_probe_that_fails_leaves_the_doubt_with_its_cause() -> None:
    answer = RuntimeError("no route, token=abcdef123456")
    tool = ProbingTool(EffectClass.IRREVERSIBLE, is_unknown, answer=answer)

    settled = await perform(tool, MemoryLog())

    assert settled.state is CallState.IN_DOUBT
    assert settled.reason == (
        "The connection broke after the request was sent. Asking the target failed: "
        "no route, token=[redacted]"
    )


async def test_a_park_waits() -> None:
    park = Park(kind=WaitKind.TIMER, until=7.0)

    async def wait(arguments: Mapping[str, Any], context: ToolContext) -> Park:
        return park

    settled = await perform(ActingTool(EffectClass.READ, wait), MemoryLog())

    assert settled == Settlement(state=CallState.WAITING, park=park)
    assert not settled.is_final
