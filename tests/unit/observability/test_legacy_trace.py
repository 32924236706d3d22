"""The trace format of the earlier tool, both ways."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from observability.contracts import (
    Delta,
    EventKind,
    EventRecord,
    RunStatePayload,
    StepModelPayload,
    ToolPayload,
)
from observability.errors import TraceFormatError
from observability.legacy_trace import LegacyWriter, read_legacy, token_line

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = UUID(int=7)


def event(kind: EventKind, payload: Any) -> EventRecord:
    return EventRecord(
        id=1, workspace_id=UUID(int=1), run_id=RUN, sequence=1, txid=0, kind=kind, at=AT,
        payload=msgspec.Raw(msgspec.json.encode(payload)),
    )  # fmt: skip


def written(*events: EventRecord) -> list[dict[str, Any]]:
    writer = LegacyWriter()
    lines = [line for item in events for line in writer.lines(item)] + list(writer.end())
    return [json.loads(msgspec.json.encode(line)) for line in lines]


def call(state: str, **more: Any) -> ToolPayload:
    return ToolPayload(call_id="c1", tool="ls", state=state, **more)


def test_a_run_is_told_in_the_eight_old_types() -> None:
    lines = written(
        event(EventKind.RUN_CREATED, {}),
        event(EventKind.STEP_STARTED, {"step": 1, "model": "gpt-x"}),
        event(
            EventKind.STEP_MODEL,
            StepModelPayload(
                step=1, model="gpt-x", finish="tool_calls", text="I look", tools=("ls",)
            ),
        ),
        event(EventKind.TOOL_PLANNED, call("planned", arguments={"path": "."})),
        event(EventKind.TOOL_DISPATCHED, call("dispatched", arguments={"path": "."})),
        event(EventKind.TOOL_SETTLED, call("committed", result="a.txt")),
        event(EventKind.RUN_STATE, RunStatePayload(state="yielded")),
        event(
            EventKind.RUN_STATE,
            RunStatePayload(
                state="succeeded", is_terminal=True, output="done",
                usage={"input_tokens": 10, "output_tokens": 5}, cost_usd="0.01",
            ),
        ),
    )  # fmt: skip

    packed = base64.b64encode(b'{"path":"."}').decode()
    assert [(line["type"], line["data"]) for line in lines] == [
        ("model_start", "gpt-x"),
        (
            "step_start",
            {
                "Content": "I look",
                "ToolCalls": [{"ID": "c1", "Name": "ls", "Arguments": packed}],
                "InputTokens": 0,
                "OutputTokens": 0,
            },
        ),
        ("tool_start", {"name": "ls", "args": {"path": "."}}),
        ("tool_end", {"name": "ls", "result": "a.txt"}),
        ("yield", None),
        ("final", "done"),
        ("summary", {"state": "succeeded", "tokens": 15, "cost": "0.01"}),
    ]
    assert {line["agent_id"] for line in lines} == {str(RUN)}
    assert lines[0]["ts"] == "2026-03-01T12:00:00Z"


def test_an_answer_whose_calls_were_never_planned_is_not_lost() -> None:
    answer = event(
        EventKind.STEP_MODEL,
        StepModelPayload(step=1, model="m", finish="tool_calls", tools=("ls", "view")),
    )

    assert [line["type"] for line in written(answer)] == ["step_start"]
    assert [line["type"] for line in written(answer, event(EventKind.RUN_NOTE, {}))] == [
        "step_start"
    ]


def test_a_token_line_carries_the_fragment() -> None:
    line = token_line(Delta(UUID(int=1), RUN, 3, "wor"), at=AT)

    assert json.loads(msgspec.json.encode(line)) == {
        "ts": "2026-03-01T12:00:00Z", "type": "token", "agent_id": str(RUN), "data": "wor",
    }  # fmt: skip


def test_reading_unpacks_arguments_and_skips_blank_lines() -> None:
    packed = base64.b64encode(b'{"path": "x"}').decode()
    step = {"Content": "", "ToolCalls": [{"ID": "1", "Name": "ls", "Arguments": packed}]}
    first = {
        "ts": "2025-01-01T00:00:00.123456789Z",
        "type": "step_start",
        "agent_id": "a",
        "data": step,
    }
    lines = [
        b"\n",
        json.dumps(first).encode(),
        b'{"ts":"2025-01-01T00:00:00+02:00","type":"yield","agent_id":"a"}',
    ]

    read = list(read_legacy(lines))

    assert read[0].data["ToolCalls"][0]["Arguments"] == {"path": "x"}
    assert [line.type.value for line in read] == ["step_start", "yield"]


def test_our_own_lines_read_back_as_they_were_meant() -> None:
    answer = event(
        EventKind.STEP_MODEL,
        StepModelPayload(step=1, model="m", finish="tool_calls", tools=("ls",)),
    )
    planned = event(EventKind.TOOL_PLANNED, call("planned", arguments={"n": 1}))
    lines = [json.dumps(line).encode() for line in written(answer, planned)]

    assert next(read_legacy(lines)).data["ToolCalls"][0]["Arguments"] == {"n": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"ts":"now","type":"final","agent_id":"a"}',
        b'{"ts":"2025-01-01T00:00:00Z","type":"dance","agent_id":"a"}',
        (
            b'{"ts":"2025-01-01T00:00:00Z","type":"step_start","agent_id":"a",'
            b'"data":{"ToolCalls":[{"ID":"1","Arguments":"%%%"}]}}'
        ),
        b"\xff\xfe",
    ],
)
def test_a_broken_line_is_named(line: bytes) -> None:
    with pytest.raises(TraceFormatError, match="Line 2"):
        list(read_legacy([b"", line]))
