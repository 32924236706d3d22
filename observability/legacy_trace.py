"""The trace file of the earlier Agentry tool: `{"ts", "type", "agent_id", "data"}`, one a line.

`LegacyWriter` tells our events in those eight types, so that existing readers go on working;
`read_legacy` reads old files, where the arguments of a call are base64 of JSON. Types map so:

    model_start  step.started          the model's name
    step_start   step.model            {"Content", "ToolCalls": [{"ID", "Name", "Arguments"}]}
    tool_start   tool.dispatched       {"name", "args"}
    tool_end     tool.settled          {"name", "result"}
    token        (deltas; not stored)  text
    final        run.state succeeded   the run's output
    yield        run.state yielded     nothing
    summary      run.state, terminal   {"state", "tokens", "cost"}

An event with no counterpart is left out.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from observability.contracts import (
    Delta,
    EventKind,
    EventRecord,
    RunStatePayload,
    StepModelPayload,
    ToolPayload,
)
from observability.errors import TraceFormatError


class LegacyType(StrEnum):
    MODEL_START = "model_start"
    STEP_START = "step_start"
    TOOL_START = "tool_start"
    TOOL_END = "tool_end"
    TOKEN = "token"  # noqa: S105 - a kind of event
    FINAL = "final"
    YIELD = "yield"
    SUMMARY = "summary"


class LegacyLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line. In `data` of step_start, read arguments are decoded JSON."""

    ts: datetime
    type: LegacyType
    agent_id: str
    data: Any = None


class _Started(msgspec.Struct):
    model: str = ""


_DECODE_LINE = msgspec.json.Decoder(LegacyLine).decode
_MAX_LINE_BYTES = 16 * 1024 * 1024


class LegacyWriter:
    """Turns the events of one or more runs into old lines; `agent_id` is the run's id.

    Holds the calls of the last model answer of each run, because the old format names them in the
    answer and we record them when they are planned.
    """

    def __init__(self) -> None:
        self._answers: dict[UUID, tuple[EventRecord, StepModelPayload, list[ToolPayload]]] = {}

    def lines(self, event: EventRecord) -> Iterator[LegacyLine]:
        """Yield the lines this event adds; an answer comes out once its calls are known."""
        if event.kind == EventKind.STEP_MODEL:
            answer = msgspec.json.decode(event.payload, type=StepModelPayload)
            if answer.tools:
                self._answers[event.run_id] = (event, answer, [])
            else:
                yield _step_line(event, answer, [])
            return
        if event.kind == EventKind.TOOL_PLANNED and event.run_id in self._answers:
            step, answer, calls = self._answers[event.run_id]
            calls.append(msgspec.json.decode(event.payload, type=ToolPayload))
            if len(calls) == len(answer.tools):
                del self._answers[event.run_id]
                yield _step_line(step, answer, calls)
            return
        if waiting := self._answers.pop(event.run_id, None):
            yield _step_line(*waiting)
        yield from _plain_lines(event)

    def end(self) -> Iterator[LegacyLine]:
        """Yield answers whose calls were not all planned when the events ended."""
        while self._answers:
            yield _step_line(*self._answers.pop(next(iter(self._answers))))


def token_line(delta: Delta, *, at: datetime) -> LegacyLine:
    """Return the line of a fragment of an answer, for a stream; files do not have them."""
    return LegacyLine(ts=at, type=LegacyType.TOKEN, agent_id=str(delta.run_id), data=delta.text)


def read_legacy(lines: Iterable[bytes]) -> Iterator[LegacyLine]:
    """Yield the events of an old file; blank lines are skipped.

    Raises TraceFormatError that names the line.
    """
    for number, raw in enumerate(lines, start=1):
        text = raw.strip()
        if not text:
            continue
        if len(text) > _MAX_LINE_BYTES:
            raise TraceFormatError(f"Line {number} of the trace is larger than 16 MiB.")
        try:
            line = _DECODE_LINE(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TraceFormatError(
                f"Line {number} is not a trace event: {error}.",
                remedy='Each line is {"ts", "type", "agent_id", "data"}.',
            ) from error
        if line.type is LegacyType.STEP_START:
            line = msgspec.structs.replace(line, data=_with_arguments(line.data, number))
        yield line


def _plain_lines(event: EventRecord) -> Iterator[LegacyLine]:
    if event.kind == EventKind.STEP_STARTED:
        started = msgspec.json.decode(event.payload, type=_Started)
        yield _line(event, LegacyType.MODEL_START, started.model)
    elif event.kind == EventKind.TOOL_DISPATCHED:
        call = msgspec.json.decode(event.payload, type=ToolPayload)
        yield _line(event, LegacyType.TOOL_START, {"name": call.tool, "args": call.arguments or {}})
    elif event.kind == EventKind.TOOL_SETTLED:
        call = msgspec.json.decode(event.payload, type=ToolPayload)
        yield _line(event, LegacyType.TOOL_END, {"name": call.tool, "result": call.result})
    elif event.kind == EventKind.RUN_STATE:
        state = msgspec.json.decode(event.payload, type=RunStatePayload)
        if state.state == "yielded":
            yield _line(event, LegacyType.YIELD, None)
        if state.state == "succeeded":
            yield _line(event, LegacyType.FINAL, state.output)
        if state.is_terminal:
            yield _line(event, LegacyType.SUMMARY, _summary(state))


def _summary(state: RunStatePayload) -> dict[str, Any]:
    tokens = state.usage.get("input_tokens", 0) + state.usage.get("output_tokens", 0)
    return {"state": state.state, "tokens": tokens, "cost": state.cost_usd}


def _step_line(
    event: EventRecord, answer: StepModelPayload, calls: list[ToolPayload]
) -> LegacyLine:
    data = {
        "Content": answer.text,
        "ToolCalls": [
            {"ID": call.call_id, "Name": call.tool, "Arguments": _packed(call.arguments or {})}
            for call in calls
        ],
        "InputTokens": answer.usage.get("input_tokens", 0),
        "OutputTokens": answer.usage.get("output_tokens", 0),
    }
    return _line(event, LegacyType.STEP_START, data)


def _line(event: EventRecord, kind: LegacyType, data: Any) -> LegacyLine:
    return LegacyLine(ts=event.at, type=kind, agent_id=str(event.run_id), data=data)


def _packed(arguments: dict[str, Any]) -> str:
    return base64.b64encode(msgspec.json.encode(arguments)).decode()


def _with_arguments(data: Any, number: int) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get("ToolCalls"), list):
        return data
    return {**data, "ToolCalls": [_unpacked_call(call, number) for call in data["ToolCalls"]]}


def _unpacked_call(call: Any, number: int) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("Arguments"), str):
        return call
    packed = call["Arguments"]
    if not packed:
        return {**call, "Arguments": {}}
    try:
        return {**call, "Arguments": msgspec.json.decode(base64.b64decode(packed, validate=True))}
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise TraceFormatError(
            f"Line {number}: the arguments of call {str(call.get('ID', ''))[:60]!r} are not "
            f"base64 of JSON ({error})."
        ) from error
