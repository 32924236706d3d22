"""Recovering what was under way, and refusing what is no longer what was planned."""

from typing import Any

import msgspec
import pytest

from plugins.contracts import CallState, EffectClass, ProbeAnswer
from plugins.dispatch import CallRequest, PlannedCall
from tests.unit.plugins.dispatch_kit import (
    CLAIMING,
    DONE,
    ActingTool,
    MemoryLog,
    ProbingTool,
    context,
    door,
    perform,
    planned,
    probe_says,
    recover,
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
