"""Following a run over connections that break: what to ask next, what is new, when it is over.

Without any connection itself. The cursor is the last sequence handed out, so an event is never
repeated. A hole in the sequence means that something was lost on the way: the connection is
dropped and taken up again after the cursor.
"""

from dataclasses import replace

import msgspec

from agentry.client.calls import runs
from agentry.client.calls.shape import of_run
from agentry.client.errors import (
    AgentryError,
    ConnectionFailed,
    RateLimited,
    ServerError,
    UnexpectedReply,
)
from agentry.client.flow import Flow, Origin, Request, Sleep, perform, retry_pause
from agentry.client.records import Delta, Event
from agentry.client.sse import ServerSentEvent, SseParser

# The server sends a comment every 15 seconds; three missing ones mean a dead connection.
SILENCE_SECONDS = 45.0
_LONGEST_PAUSE_SECONDS = 5.0
PASSING_FAILURES = (ConnectionFailed, RateLimited, ServerError)


class Feed:
    """The state of one subscription.

    `patience_seconds` bounds how long reconnecting may go on without any progress.
    """

    def __init__(self, run_id: str, *, after: int, patience_seconds: float) -> None:
        self.run_id = run_id
        self.after = after
        self._patience_seconds = patience_seconds
        self._waited_seconds = 0.0
        self._failures = 0
        self._hole_at: int | None = None
        self.is_broken = False  # a hole was found: connect again
        self._parser = SseParser()

    def request(self, origin: Origin) -> Request:
        self._parser = SseParser()
        self.is_broken = False
        path = of_run(self.run_id, "events", "stream")
        return Request(
            method="GET",
            url=origin.address(path, {"after": str(self.after)}),
            headers=origin.headers(
                **{
                    "accept": "text/event-stream",
                    "accept-encoding": "identity",
                    "last-event-id": str(self.after),
                }
            ),
            content=None,
            timeout_seconds=SILENCE_SECONDS,
        )

    def receive(self, chunk: bytes) -> list[Event | Delta]:
        """The new items in this chunk, up to the first hole."""
        fresh: list[Event | Delta] = []
        for sent in self._parser.feed(chunk):
            item = _read(sent, self.run_id)
            if isinstance(item, Event):
                if item.sequence <= self.after:
                    continue
                if item.sequence > self.after + 1 and self._hole_at != self.after:
                    # Found again after reconnecting, the server itself has no such event any
                    # more (retention), and the stream goes on behind the hole.
                    self._hole_at = self.after
                    self.is_broken = True
                    return fresh
                self.after = item.sequence
                self._failures = 0
                self._waited_seconds = 0.0
            if item is not None:
                fresh.append(item)
        return fresh

    def is_over(self, origin: Origin, failure: AgentryError | None) -> Flow[bool]:
        """After a connection ended: whether everything has been told; if not, rest a moment.

        Raises what is not passing, and `ConnectionFailed` when patience is over.
        """
        if failure is not None and retry_pause(failure, 0) is None:
            raise failure
        try:
            run = yield from perform(replace(origin, max_retries=0), runs.get(self.run_id))
            # A yielded run tells nothing more until somebody resumes it.
            if (run.is_finished or run.state == "yielded") and run.head_sequence <= self.after:
                return True
        except PASSING_FAILURES as error:
            failure = error
        yield Sleep(self._pause_seconds(failure))
        return False

    def _pause_seconds(self, cause: AgentryError | None) -> float:
        self._failures += 1
        pause = min(0.1 * 2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        self._waited_seconds += pause
        if self._waited_seconds > self._patience_seconds:
            raise ConnectionFailed(
                f"The stream of run {self.run_id} could not be taken up again after event "
                f"{self.after}, {self._failures} attempts.",
                remedy=f"The run is not affected. Continue later with after={self.after}.",
            ) from cause
        return pause


class _WireDelta(msgspec.Struct):
    delta: str
    run_id: str = ""
    channel: str = "text"


# What the server sends beside events: where the stream stands, that it ends, and why it broke.
_NEWS = frozenset({"head", "end", "error", "heartbeat"})


def _read(sent: ServerSentEvent, run_id: str) -> Event | Delta | None:
    if sent.event in _NEWS:
        return None
    try:
        if sent.event == "delta":
            piece = msgspec.json.decode(sent.data, type=_WireDelta)
            return Delta(text=piece.delta, run=piece.run_id or run_id, channel=piece.channel)
        return msgspec.json.decode(sent.data, type=Event)
    except msgspec.MsgspecError as error:
        raise UnexpectedReply(
            f"The stream of run {run_id} holds something else than an event: {error}."
        ) from error
