"""An event as clients see it, whichever way they ask: page, export, socket or stream."""

from datetime import datetime
from uuid import UUID

import msgspec

from observability.contracts import EventRecord
from observability.cursors import Topic


class WireEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event as clients see it. `cursor` goes on after this event in the stream it came by."""

    run_id: UUID
    sequence: int
    kind: str
    at: datetime
    cursor: str
    payload: msgspec.Raw | None
    payload_hidden: bool = False


def wire_event(topic: Topic, event: EventRecord, *, is_payload_visible: bool) -> WireEvent:
    """Return an event as a viewer with or without sight of payloads may see it."""
    return WireEvent(
        run_id=event.run_id,
        sequence=event.sequence,
        kind=event.kind,
        at=event.at,
        cursor=topic.cursor(topic.position(event)),
        payload=event.payload if is_payload_visible else None,
        payload_hidden=not is_payload_visible,
    )
