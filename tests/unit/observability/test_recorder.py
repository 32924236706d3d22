"""What may enter a trace."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from core.known_values import REDACTED
from core.redaction import WITHHELD
from observability.contracts import EventKind, Payload, StepModelPayload
from observability.recorder import MAX_PAYLOAD_BYTES, EventRow, event_row

WORKSPACE, RUN = UUID(int=1), UUID(int=2)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def row_of(payload: Payload | None) -> tuple[EventRow, Any]:
    row = event_row(
        workspace_id=WORKSPACE,
        run_id=RUN,
        sequence=3,
        kind=EventKind.STEP_MODEL,
        at=AT,
        payload=payload,
    )
    return row, json.loads(row.payload)


def test_a_small_payload_is_stored_as_it_is() -> None:
    row, payload = row_of(StepModelPayload(step=1, model="m", finish="stop", tools=("ls",)))

    assert payload == {"step": 1, "model": "m", "finish": "stop", "tools": ["ls"]}
    assert (row.kind, row.sequence, row.blobs) == ("step.model", 3, ())


def test_no_payload_is_an_empty_object() -> None:
    assert row_of(None)[0].payload == "{}"


def test_a_secret_is_redacted_before_it_is_cut_or_stored() -> None:
    key = "sk-" + "a1" * 20
    row, payload = row_of({"text": "x" * 1980 + " " + key, "fill": "y" * MAX_PAYLOAD_BYTES})

    assert key[:8] not in row.payload
    assert all(key.encode() not in blob.content for blob in row.blobs)
    assert REDACTED in payload["text"]


def test_a_long_text_keeps_its_beginning_and_names_its_blob() -> None:
    text = "début " * 10_000
    row, payload = row_of({"call_id": "c1", "arguments": {"content": text}, "lines": ["short"]})

    digest = hashlib.sha256(text.encode()).hexdigest()
    assert payload["arguments"]["content"] == text[:2000] + "…"
    assert payload["lines"] == ["short"]
    assert payload["blobs"] == {
        "arguments.content": {"digest": digest, "size_bytes": len(text.encode())}
    }
    assert [(blob.digest, blob.content) for blob in row.blobs] == [(digest, text.encode())]


def test_a_payload_of_many_small_parts_is_cut_as_a_whole_but_keeps_its_plain_members() -> None:
    row, payload = row_of({"state": "succeeded", "is_terminal": True, "items": list(range(20_000))})

    assert payload["state"] == "succeeded"
    assert payload["is_terminal"] is True
    assert "items" not in payload
    assert json.loads(row.blobs[0].content)["items"][-1] == 19_999
    assert len(row.payload) < MAX_PAYLOAD_BYTES


def test_a_member_that_is_not_json_is_withheld_alone() -> None:
    _, payload = row_of({"state": "failed", "is_terminal": True, "error": object()})

    assert payload == {"state": "failed", "is_terminal": True, "error": WITHHELD}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**40, "\x00", "\ud800"])
def test_whatever_a_tool_says_the_payload_is_valid_storable_json(value: Any) -> None:
    row, _ = row_of({"value": value})

    json.loads(row.payload, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert "\\u0000" not in row.payload
    row.payload.encode()
