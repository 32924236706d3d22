"""What a viewer is sent, encoded once for all viewers of a topic.

A frame has up to four encodings: as a WebSocket text and as server-sent events, with payloads and
without. Each is made when the first viewer needs it and shared by the rest.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from observability.contracts import DeltaChannel, EventRecord
from observability.cursors import Position, Topic
from observability.wire import WireEvent, wire_event

MAX_FRAME_BYTES = 256 * 1024
MAX_FRAME_EVENTS = 500


class Frame(Protocol):
    """Something to send. An encoding may be None: then this viewer is sent nothing."""

    @property
    def size_bytes(self) -> int: ...

    def text(self, *, is_payload_visible: bool) -> str | None: ...

    def sse(self, *, is_payload_visible: bool) -> bytes | None: ...


class EventsFrame:
    """Consecutive events of one topic."""

    __slots__ = ("_sse", "_text", "events", "first", "last", "size_bytes", "topic")

    def __init__(self, topic: Topic, events: Sequence[EventRecord]) -> None:
        self.topic = topic
        self.events = events
        self.first = topic.position(events[0])
        self.last = topic.position(events[-1])
        self.size_bytes = sum(len(event.payload) + 200 for event in events)
        self._text: dict[bool, str] = {}
        self._sse: dict[bool, bytes] = {}

    def after(self, position: Position) -> "EventsFrame | None":
        """Return the part behind `position`, this frame itself when that is all of it."""
        if self.first > position:
            return self
        rest = [event for event in self.events if self.topic.position(event) > position]
        return EventsFrame(self.topic, rest) if rest else None

    def text(self, *, is_payload_visible: bool) -> str:
        if is_payload_visible not in self._text:
            frame = {
                "type": "events",
                "events": [self._wire(event, is_payload_visible) for event in self.events],
                "cursor": self.topic.cursor(self.last),
            }
            self._text[is_payload_visible] = msgspec.json.encode(frame).decode()
        return self._text[is_payload_visible]

    def sse(self, *, is_payload_visible: bool) -> bytes:
        if is_payload_visible not in self._sse:
            parts = bytearray()
            for event in self.events:
                wire = self._wire(event, is_payload_visible)
                parts += f"id: {wire.cursor}\nevent: {wire.kind}\ndata: ".encode()
                parts += msgspec.json.encode(wire) + b"\n\n"
            self._sse[is_payload_visible] = bytes(parts)
        return self._sse[is_payload_visible]

    def _wire(self, event: EventRecord, is_payload_visible: bool) -> WireEvent:
        return wire_event(self.topic, event, is_payload_visible=is_payload_visible)


class DeltaFrame(msgspec.Struct, frozen=True, tag="delta"):
    """A fragment of the answer that comes after event `after_sequence` of the run."""

    run_id: UUID
    after_sequence: int
    channel: DeltaChannel
    delta: str

    @property
    def size_bytes(self) -> int:
        return len(self.delta) + 150

    def text(self, *, is_payload_visible: bool) -> str | None:
        return msgspec.json.encode(self).decode() if is_payload_visible else None

    def sse(self, *, is_payload_visible: bool) -> bytes | None:
        if not is_payload_visible:
            return None
        return b"event: delta\ndata: " + msgspec.json.encode(self) + b"\n\n"


class HeadFrame(msgspec.Struct, frozen=True, tag="head"):
    """Where the stream ends now. `is_live` says whether this viewer has been sent all of it."""

    cursor: str
    is_live: bool

    @property
    def size_bytes(self) -> int:
        return 80

    def text(self, *, is_payload_visible: bool) -> str:
        return msgspec.json.encode(self).decode()

    def sse(self, *, is_payload_visible: bool) -> bytes:
        return b"event: head\ndata: " + msgspec.json.encode(self) + b"\n\n"


class NoticeFrame(msgspec.Struct, frozen=True):
    """A frame of fixed text: heartbeat, pong, error."""

    type: Literal["heartbeat", "pong", "error"]
    code: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def size_bytes(self) -> int:
        return 80

    def text(self, *, is_payload_visible: bool) -> str:
        return msgspec.json.encode(self).decode()

    def sse(self, *, is_payload_visible: bool) -> bytes:
        if self.type == "heartbeat":
            return b": heartbeat\n\n"
        return f"event: {self.type}\ndata: ".encode() + msgspec.json.encode(self) + b"\n\n"


HEARTBEAT = NoticeFrame("heartbeat")
PONG = NoticeFrame("pong")


def error_frame(code: str, message: str) -> NoticeFrame:
    return NoticeFrame("error", code=code, message=message)


def frames_of(topic: Topic, events: Iterable[EventRecord]) -> Iterator[EventsFrame]:
    """Cut consecutive events into frames of bounded size."""
    batch: list[EventRecord] = []
    size_bytes = 0
    for event in events:
        if batch and (
            len(batch) >= MAX_FRAME_EVENTS or size_bytes + len(event.payload) > MAX_FRAME_BYTES
        ):
            yield EventsFrame(topic, batch)
            batch, size_bytes = [], 0
        batch.append(event)
        size_bytes += len(event.payload)
    if batch:
        yield EventsFrame(topic, batch)
