"""One viewer's place in a topic: a bounded queue and a cursor to fall back on.

A viewer is either live (frames are put into its queue as they happen) or behind (it reads rows
from its cursor, one page at a time, as fast as it can take them). A live viewer whose queue is
full is behind from then on: the queue is dropped, the rows are still there. So the hub never
waits for anybody and never holds more than the bound.
"""

import asyncio
from collections import deque
from typing import Protocol

from core.clock import monotonic
from observability.cursors import Position, Topic
from observability.live.frames import DeltaFrame, EventsFrame, Frame, HeadFrame

MAX_QUEUED_FRAMES = 128
MAX_QUEUED_BYTES = 1024 * 1024


class ViewClosedError(Exception):
    """The subscription has ended; `code` is the WebSocket close code that says why."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Source(Protocol):
    """What a subscription needs of its hub."""

    def position(self, topic: Topic) -> Position: ...

    async def page(self, topic: Topic, position: Position) -> list[EventsFrame]: ...

    def leave(self, subscription: "Subscription") -> None: ...


class Subscription:
    """Belongs to one event loop; one reader calls `next`, the hub calls `offer`.

    `position` is that of the last event returned by `next`: the place to resume from.
    """

    __slots__ = (
        "_closed", "_head_sent", "_queue", "_queued_bytes", "_source", "_tail", "_waiter",
        "fell_behind", "is_live", "position", "quiet_since", "topic",
    )  # fmt: skip

    def __init__(self, source: Source, topic: Topic, position: Position) -> None:
        self.topic = topic
        self.position = position
        self.is_live = False
        self.fell_behind = 0
        self.quiet_since = monotonic()
        self._source = source
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0
        self._tail = position
        self._head_sent = False
        self._waiter: asyncio.Future[None] | None = None
        self._closed: ViewClosedError | None = None

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Frame:
        try:
            return await self.next()
        except ViewClosedError:
            raise StopAsyncIteration from None

    async def next(self) -> Frame:
        """Return the next frame, waiting for it. Raises ViewClosedError at the end."""
        while True:
            if self._closed is not None:
                raise self._closed
            if self._queue:
                return self._take()
            if not self.is_live:
                if (frame := await self._catch_up()) is not None:
                    self.quiet_since = monotonic()
                    return frame
                continue
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def offer(self, frame: Frame) -> None:
        """Queue a frame of a live viewer; called by the hub, never blocks."""
        if not self.is_live or self._closed is not None:
            return
        if isinstance(frame, EventsFrame):
            rest = frame.after(self._tail)
            if rest is None:
                return
            if self._is_full(rest):
                self._fall_behind()
            else:
                self._put(rest)
                self._tail = rest.last
        elif not self._is_full(frame):
            self._put(frame)
        self._wake()

    def close(self, code: int, reason: str) -> None:
        """End the subscription: `next` raises ViewClosedError at once; the first call counts."""
        if self._closed is None:
            self._closed = ViewClosedError(code, reason)
            self._queue.clear()
            self._source.leave(self)
            self._wake()

    @property
    def is_drained(self) -> bool:
        """Say whether everything known so far has been returned by `next`."""
        return self.is_live and not self._queue

    def _put(self, frame: Frame) -> None:
        self._queue.append(frame)
        self._queued_bytes += frame.size_bytes

    def _take(self) -> Frame:
        frame = self._queue.popleft()
        self._queued_bytes -= frame.size_bytes
        if not isinstance(frame, DeltaFrame):  # some viewers are not sent deltas
            self.quiet_since = monotonic()
        if isinstance(frame, EventsFrame):
            self.position = frame.last
        return frame

    def _is_full(self, frame: Frame) -> bool:
        if not self._queue:
            return False  # a single frame is always taken: its size is bounded itself
        return (
            len(self._queue) >= MAX_QUEUED_FRAMES
            or self._queued_bytes + frame.size_bytes > MAX_QUEUED_BYTES
        )

    def _fall_behind(self) -> None:
        self._queue.clear()
        self._queued_bytes = 0
        self._tail = self.position
        self.is_live = False
        self._head_sent = False
        self.fell_behind += 1

    async def _catch_up(self) -> Frame | None:
        """Queue a page of rows, or turn live; may return a frame that says which."""
        goal = self._source.position(self.topic)
        if self.position >= goal:
            self._tail = self.position
            self.is_live = True
            return HeadFrame(self.topic.cursor(self.position), is_live=True)
        if not self._head_sent:
            self._head_sent = True
            return HeadFrame(self.topic.cursor(goal), is_live=False)
        frames = await self._source.page(self.topic, self.position)
        for frame in frames:
            self._put(frame)
        if not frames:  # the rows up to here are gone (retention); go on behind them
            self.position = goal
        return None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
