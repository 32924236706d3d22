"""Performing and recovering: each effect class, each way a call can end."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from core.errors import LeaseLostError
from core.redaction import known_secrets
from plugins.contracts import (
    CallState,
    EffectClass,
    Park,
    ProbeAnswer,
    ToolContext,
    ToolResult,
    WaitKind,
)
from plugins.dispatch import SHOWN_CHARS, CallRequest, PlannedCall, Settlement
from plugins.errors import OutcomeUnknownError, ToolError
from tests.unit.plugins.dispatch_kit import (
    ActingTool,
    MemoryLog,
    ProbingTool,
    context,
    door,
    planned,
    probe_says,
    say_done,
)

EFFECTS = list(EffectClass)
CLAIMING = [EffectClass.KEYED, EffectClass.IRREVERSIBLE]
DONE = Settlement(state=CallState.COMMITTED, text="done")


async def is_unknown(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    raise OutcomeUnknownError("The connection broke after the request was sent.")


async def is_broken(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    raise ZeroDivisionError("with sk-abcdefghijklmnopqrstuvwxyz inside")


async def never_ends(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
    await asyncio.Event().wait()
    raise AssertionError


async def perform(tool: ActingTool, log: MemoryLog, **fields: Any) -> Settlement:
    call = msgspec.structs.replace(planned(tool), **fields)
    return await door(tool).perform(call, context(), log)


async def recover(
    tool: ActingTool, log: MemoryLog, arguments: dict[str, Any] | None = None, **fields: Any
) -> Settlement:
    call = planned(tool, arguments)
    fields = {"state": CallState.DISPATCHED, "attempt": 1, **fields}
    return await door(tool).recover(msgspec.structs.replace(call, **fields), context(), log)


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


@pytest.mark.parametrize("effect", [EffectClass.READ, EffectClass.IDEMPOTENT, EffectClass.KEYED])
async def test_recovery_repeats_where_the_class_allows(effect: EffectClass) -> None:
    tool, log = ActingTool(effect), MemoryLog()

    assert await recover(tool, log) == DONE
    assert log.moves == [("dispatched", "dispatched", 2)]
    assert [(seen.attempt, seen.idempotency_key) for seen in tool.contexts] == [(2, "key-1")]


async def test_recovery_of_an_irreversible_call_without_probe_is_doubt() -> None:
    tool, log = ActingTool(EffectClass.IRREVERSIBLE), MemoryLog()

    settled = await recover(tool, log)

    assert settled.state is CallState.IN_DOUBT
    assert settled.reason.endswith("It may or may not have happened.")
    assert (tool.contexts, log.moves) == ([], [])


@pytest.mark.parametrize(
    ("answer", "state", "runs"),
    [
        (ProbeAnswer.HAPPENED, CallState.COMMITTED, 0),
        (ProbeAnswer.NOT_HAPPENED, CallState.COMMITTED, 1),
        (ProbeAnswer.UNKNOWN, CallState.IN_DOUBT, 0),
    ],
)
async def test_recovery_asks_the_probe_first(
    answer: ProbeAnswer, state: CallState, runs: int
) -> None:
    tool = ProbingTool(EffectClass.IRREVERSIBLE, answer=probe_says(answer))

    settled = await recover(tool, MemoryLog())

    assert settled.state is state
    assert (len(tool.contexts), tool.probed) == (runs, ["key-1"])


def redacted_arguments(call_arguments: dict[str, Any]) -> CallRequest:
    """The request of a call as it is read back from the ledger."""
    return CallRequest(index=0, provider_call_id="call_0", tool="act", arguments=call_arguments)


SECRET = {"note": "sk-abcdefghijklmnopqrstuvwxyz"}
STORED = redacted_arguments({"note": "[redacted]"})


async def test_a_call_whose_arguments_were_redacted_is_not_begun() -> None:
    tool = ActingTool(EffectClass.IRREVERSIBLE)
    call = msgspec.structs.replace(planned(tool, SECRET), request=STORED)

    settled = await door(tool).perform(call, context(), MemoryLog())

    assert settled.state is CallState.FAILED
    assert "its arguments held a secret that is not stored" in settled.text
    assert tool.contexts == []


@pytest.mark.parametrize("effect", CLAIMING)
async def test_a_dispatched_call_whose_arguments_were_redacted_is_not_repeated(
    effect: EffectClass,
) -> None:
    tool, log = ActingTool(effect), MemoryLog()

    settled = await recover(tool, log, SECRET, request=STORED)

    assert settled.state is CallState.IN_DOUBT
    assert (tool.contexts, log.moves) == ([], [])


async def test_a_harmless_call_whose_arguments_were_redacted_fails() -> None:
    tool = ActingTool(EffectClass.READ)

    settled = await recover(tool, MemoryLog(), SECRET, request=STORED)

    assert settled.state is CallState.FAILED
    assert tool.contexts == []


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (ProbeAnswer.HAPPENED, CallState.COMMITTED),
        (ProbeAnswer.NOT_HAPPENED, CallState.FAILED),
        (ProbeAnswer.UNKNOWN, CallState.IN_DOUBT),
    ],
)
async def test_a_probe_settles_a_call_whose_arguments_were_redacted(
    answer: ProbeAnswer, state: CallState
) -> None:
    tool = ProbingTool(EffectClass.KEYED, answer=probe_says(answer))

    assert (await recover(tool, MemoryLog(), SECRET, request=STORED)).state is state
    assert tool.contexts == []


async def test_a_changed_tool_is_not_called() -> None:
    tool = ActingTool(EffectClass.IRREVERSIBLE)

    settled = await perform(tool, MemoryLog(), spec_digest="0" * 64)

    assert settled.text == "The tool act changed while the call waited."
    assert tool.contexts == []


@pytest.mark.parametrize("effect", CLAIMING)
async def test_a_dispatched_call_of_a_tool_that_changed_or_is_gone_is_in_doubt(
    effect: EffectClass,
) -> None:
    tool = ActingTool(effect)
    call: PlannedCall = msgspec.structs.replace(planned(tool), state=CallState.DISPATCHED)

    changed = await recover(tool, MemoryLog(), spec_digest="0" * 64)
    gone = await door().recover(call, context(), MemoryLog())

    assert {changed.state, gone.state} == {CallState.IN_DOUBT}
    assert tool.contexts == []


async def test_a_park_waits() -> None:
    park = Park(kind=WaitKind.TIMER, until=7.0)

    async def wait(arguments: Mapping[str, Any], context: ToolContext) -> Park:
        return park

    settled = await perform(ActingTool(EffectClass.READ, wait), MemoryLog())

    assert settled == Settlement(state=CallState.WAITING, park=park)
    assert not settled.is_final


async def test_a_large_result_is_shortened_and_kept_whole() -> None:
    whole = "a" * 2_500_000 + "é" * 1_250_000

    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text=whole)

    settled = await perform(ActingTool(EffectClass.READ, talk), MemoryLog())

    digest = hashlib.sha256(whole.encode()).hexdigest()
    assert settled.full == whole.encode()
    assert settled.full_digest == digest
    assert settled.text == (
        "a" * 24_000
        + f"\n[… {len(whole) - SHOWN_CHARS} characters left out; the whole result "
        + f"(5000000 bytes) is stored as sha256:{digest} …]\n"
        + "é" * 8_000
    )


async def test_a_result_beyond_the_tools_bound_keeps_its_beginning_and_says_so() -> None:
    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="x" * 50_000)

    settled = await perform(
        ActingTool(EffectClass.READ, talk, max_result_bytes=40_000), MemoryLog()
    )

    assert settled.full == b"x" * 40_000
    assert "; its beginning (40000 bytes) is stored as sha256:" in settled.text


async def test_the_longest_shown_result_is_not_shortened() -> None:
    async def talk(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="x" * SHOWN_CHARS)

    settled = await perform(ActingTool(EffectClass.READ, talk), MemoryLog())

    assert (settled.text, settled.full, settled.full_digest) == ("x" * SHOWN_CHARS, None, "")


async def test_a_long_failure_is_cut() -> None:
    async def fail(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        raise ToolError("x" * (SHOWN_CHARS + 1))

    settled = await perform(ActingTool(EffectClass.READ, fail), MemoryLog())

    assert settled.text == "x" * SHOWN_CHARS + " …"


async def test_secrets_never_leave_a_result() -> None:
    async def leak(arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(text="key=workspace-key-77 and \x00 " + "y" * SHOWN_CHARS)

    known_secrets.add("workspace-key-77")
    try:
        settled = await perform(ActingTool(EffectClass.READ, leak), MemoryLog())
    finally:
        known_secrets.remove("workspace-key-77")

    assert settled.full is not None
    assert "workspace-key-77" not in settled.text
    assert b"workspace-key-77" not in settled.full
    assert settled.text.startswith("key=[redacted] and \ufffd ")
