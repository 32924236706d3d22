"""Traces: where in one the running code is, and handing finished spans on.

Off, this is a look at one variable, and nothing of OpenTelemetry is imported. On, a span is a
plain record that is made when it is over. Spans of things that outlive a process (a run, a call)
have ids that follow from the ids of those things, so that whoever finishes one tells the same
span, and children hang under it whichever worker drives them.
"""

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")
Value: TypeAlias = str | int | float | bool | list[str]
_HALF = (1 << 64) - 1
_RANDOM = (1 << 62) - 1


class Place(msgspec.Struct, frozen=True):
    """A span as others refer to it (W3C Trace Context). Nothing is told of unsampled ones."""

    trace_id: int
    span_id: int
    is_sampled: bool = True

    @property
    def trace_hex(self) -> str:
        return f"{self.trace_id:032x}"

    @property
    def span_hex(self) -> str:
        return f"{self.span_id:016x}"

    def header(self) -> str:
        """Return it as a `traceparent`."""
        return f"00-{self.trace_hex}-{self.span_hex}-0{int(self.is_sampled)}"

    def child(self, span_id: int | None = None) -> "Place":
        return Place(self.trace_id, span_id or new_span_id(), self.is_sampled)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One finished span. Times are nanoseconds since the epoch; `error` is a kind, no sentence."""

    name: str
    place: Place
    parent: Place | None
    kind: str = "internal"  # internal, server, client
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Value]
    error: str = ""


class Sink(Protocol):
    """Where finished spans go. Must not block."""

    share: float
    shows_payloads: bool

    def tell(self, span: Span) -> None: ...

    def stop(self) -> None: ...


_sink: Sink | None = None
_here: ContextVar[Place | None] = ContextVar("trace_place", default=None)
_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def sink_set(sink: Sink | None) -> Sink | None:
    """Send spans to `sink` from now on; returns the one before. None: make no spans."""
    global _sink
    before, _sink = _sink, sink
    return before


def is_on() -> bool:
    return _sink is not None


def shows_payloads() -> bool:
    """Say whether spans may carry messages, arguments and results; redact them all the same."""
    return _sink is not None and _sink.shows_payloads


def tell(span: Span) -> None:
    """Hand on a finished span."""
    if _sink is not None and span.place.is_sampled:
        _sink.tell(span)


def new_span_id() -> int:
    return random.getrandbits(64) or 1  # names a span, keeps no secret


def half(identifier: UUID) -> int:
    """Return the span id that follows from the id of a run or a call: its random half."""
    return identifier.int & _HALF


def is_chosen(trace_id: int) -> bool:
    """Say whether a trace that nobody has decided about is made; the same in every process."""
    share = 1.0 if _sink is None else _sink.share
    # The last 62 bits are random in a UUID of version 7 as well as in a trace id of our own.
    return (trace_id & _RANDOM) < share * (_RANDOM + 1)


def place_of(header: str) -> Place | None:
    """Read a `traceparent`; None when it is none, as the standard wants it."""
    found = _HEADER.fullmatch(header.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return Place(trace_id, span_id, bool(int(found[4], 16) & 1))


def root() -> Place:
    """Return the place of a trace that begins here."""
    trace_id = random.getrandbits(128) or 1  # names a trace, keeps no secret
    return Place(trace_id, new_span_id(), is_chosen(trace_id))


def here() -> Place | None:
    """Return the span that the running code is in."""
    return _here.get()


def header_here() -> str:
    """Return the `traceparent` for what is begun from here; empty when nothing is traced."""
    place = _here.get() if _sink is not None else None
    return "" if place is None else place.header()


@contextmanager
def within(place: Place | None) -> Iterator[None]:
    """Have what runs in the block be in the span of `place`."""
    token = _here.set(place)
    try:
        yield
    finally:
        _here.reset(token)


def carried(job: Callable[[], T]) -> Callable[[], T]:
    """Return `job` as it is to be run by another thread: in the span that the caller is in."""
    place = _here.get() if _sink is not None else None
    if place is None:
        return job

    def run() -> T:
        with within(place):
            return job()

    return run


@contextmanager
def span(
    name: str, *, kind: str = "internal", parent: Place | None = None, place: Place | None = None
) -> Iterator[dict[str, Value]]:
    """Make a span of the block; yields its attributes. Only where `is_on`.

    An exception is told by its type and passes. `error.type` set by the block is its error.
    """
    parent = parent or here()
    own = place or (root() if parent is None else parent.child())
    attributes: dict[str, Value] = {}
    began_ns = time.time_ns()
    try:
        with within(own):
            yield attributes
    except BaseException as error:
        attributes.setdefault("error.type", type(error).__name__)
        raise
    finally:
        tell(
            Span(
                name=name, place=own, parent=parent, kind=kind, began_ns=began_ns,
                ended_ns=time.time_ns(), attributes=attributes,
                error=str(attributes.get("error.type", "")),
            )
        )  # fmt: skip
