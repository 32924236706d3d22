"""The way into a trace: every payload is redacted and bounded here, before it can be stored.

A text that is too long for its event keeps its beginning there; the whole goes into a blob, named
under `blobs` by the place it was cut from: `{"result": "first lines…", "blobs": {"result":
{"digest": …, "size_bytes": …}}}`.
"""

import hashlib
import json
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from core.redaction import JSON, WITHHELD, redact_or_withhold
from observability.contracts import EventKind, Payload

MAX_PAYLOAD_BYTES = 16 * 1024
MAX_TEXT_CHARACTERS = 2_000
_WHOLE = ""  # the place of a payload that was cut as a whole

_encode = msgspec.json.Encoder().encode


class BlobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A text to store once per workspace, before the event that names it."""

    workspace_id: UUID
    digest: str
    media_type: str
    content: bytes


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """An event ready to insert; `payload` is JSON text. The database fills in id and txid."""

    workspace_id: UUID
    run_id: UUID
    sequence: int
    kind: str
    at: datetime
    payload: str
    blobs: tuple[BlobRow, ...] = ()


def event_row(
    *,
    workspace_id: UUID,
    run_id: UUID,
    sequence: int,
    kind: EventKind,
    at: datetime,
    payload: Payload | None = None,
) -> EventRow:
    """Build the row of an event: redacted, valid JSON, at most MAX_PAYLOAD_BYTES.

    A member that cannot be redacted or is not JSON is withheld; the others stay.
    """
    members = _redacted(payload) if payload is not None else {}
    encoded = _json(members)
    blobs: tuple[BlobRow, ...] = ()
    if len(encoded) > MAX_PAYLOAD_BYTES:
        encoded, blobs = _bounded(workspace_id, members, encoded)
    return EventRow(
        workspace_id=workspace_id,
        run_id=run_id,
        sequence=sequence,
        kind=kind.value,
        at=at,
        payload=encoded.decode(),
        blobs=blobs,
    )


def blob_row(workspace_id: UUID, text: str, *, media_type: str) -> BlobRow:
    """Build the row of a text that is stored by its digest. The text is already redacted."""
    content = text.encode()
    return BlobRow(
        workspace_id=workspace_id,
        digest=hashlib.sha256(content).hexdigest(),
        media_type=media_type,
        content=content,
    )


def _redacted(payload: Payload) -> dict[str, JSON]:
    try:
        plain: dict[str, Any] = msgspec.to_builtins(payload)
    except (TypeError, msgspec.MsgspecError):
        if isinstance(payload, msgspec.Struct):
            plain = msgspec.structs.asdict(payload)
        else:
            plain = dict(payload)
    whole = redact_or_withhold(plain)
    if isinstance(whole, dict):
        return whole
    members: dict[str, JSON] = {}
    for name, value in plain.items():
        one = redact_or_withhold({name: value})
        members |= one if isinstance(one, dict) else {str(name): WITHHELD}
    return members


def _json(value: JSON) -> bytes:
    try:
        return _encode(value)
    except (OverflowError, msgspec.MsgspecError):  # a number beyond 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _bounded(
    workspace_id: UUID, members: dict[str, JSON], encoded: bytes
) -> tuple[bytes, tuple[BlobRow, ...]]:
    blobs: dict[str, BlobRow] = {}

    def cut(value: JSON, place: str) -> JSON:
        if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
            blobs[place] = blob_row(workspace_id, value, media_type="text/plain; charset=utf-8")
            return value[:MAX_TEXT_CHARACTERS] + "…"
        if isinstance(value, dict):
            return {name: cut(item, f"{place}.{name}" if place else name)
                    for name, item in value.items()}  # fmt: skip
        if isinstance(value, list):
            return [cut(item, f"{place}.{index}") for index, item in enumerate(value)]
        return value

    short = cut(members, _WHOLE)
    assert isinstance(short, dict)
    result = _json(short | {"blobs": _names(blobs)})
    if len(result) <= MAX_PAYLOAD_BYTES:
        return result, tuple(blobs.values())
    whole = blob_row(workspace_id, encoded.decode(), media_type="application/json")
    kept = {name: value for name, value in members.items() if _is_small(name, value)}
    return _json(_first(kept) | {"blobs": _names({_WHOLE: whole})}), (whole,)


def _names(blobs: dict[str, BlobRow]) -> JSON:
    return {
        place: {"digest": blob.digest, "size_bytes": len(blob.content)}
        for place, blob in blobs.items()
    }


def _is_small(name: str, value: JSON) -> bool:
    return len(name) <= 60 and not isinstance(value, list | dict) and len(str(value)) <= 200


def _first(members: dict[str, JSON]) -> dict[str, JSON]:
    return dict(list(members.items())[:40])
