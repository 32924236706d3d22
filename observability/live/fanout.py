"""The fan-out hub of one event loop: rows are read once and shared by all local viewers.

Announcements only say that there is something to read; the rows are the truth. A lost
announcement is made good by a periodic look at every followed topic, and a row that is committed
but may not be delivered yet (see `rows_after`) is asked for again soon.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from core.clock import monotonic
from core.errors import LimitExceededError, UnavailableError
from observability.contracts import Announcement, Delta, DeltaChannel
from observability.cursors import START, Position, Topic
from observability.live.frames import (
    HEARTBEAT,
    MAX_FRAME_EVENTS,
    DeltaFrame,
    EventsFrame,
    frames_of,
)
from observability.live.reader import RowReader
from observability.live.subscription import Subscription

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.015
POLL_SECONDS = 2.0
HEARTBEAT_SECONDS = 15.0
MAX_SUBSCRIPTIONS = 5_000
MAX_AWAITED_RUNS = 1_000
MAX_TICK_DELTAS = 2_000
_RETRY_FIRST_SECONDS = 0.02
_RETRY_LAST_SECONDS = 1.0
_AWAIT_SECONDS = 10.0
_MAX_PAGES = 10

CLOSE_GOING_AWAY = 1001
CLOSE_INTERNAL = 1011


@dataclass(slots=True, eq=False)
class _Stream:
    """One followed topic: who follows it and how far it was read."""

    topic: Topic
    opened: asyncio.Future[None]
    position: Position = START
    members: set[Subscription] = field(default_factory=set)
    awaited: dict[UUID, int] = field(default_factory=dict)
    awaited_since: float = 0.0
    joining: int = 0
    retry_seconds: float = 0.0
    due_at: float = 0.0


class Hub:
    """Create with `start` on the loop that serves the viewers; `notify` may come from anywhere."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._streams: dict[Topic, _Stream] = {}
        self._count = 0
        self._wake = asyncio.Event()
        self._lock = threading.Lock()
        self._incoming: dict[UUID, Announcement] = {}
        self._deltas: list[Delta] = []
        self._is_woken = False
        self._followed: frozenset[UUID] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def start(cls, reader: RowReader) -> "Hub":
        hub = cls(reader)
        hub._tasks = [
            asyncio.create_task(hub._deliver_forever(), name="live-hub"),
            asyncio.create_task(hub._beat_forever(), name="live-heartbeat"),
        ]
        for task in hub._tasks:
            task.add_done_callback(hub._on_task_end)
        return hub

    @property
    def reader(self) -> RowReader:
        return self._reader

    @property
    def subscription_count(self) -> int:
        return self._count

    # News from writers; any thread.

    def notify(self, announcements: Sequence[Announcement], deltas: Sequence[Delta] = ()) -> None:
        """Take note of news about followed topics; returns at once, from any thread.

        Memory is bounded: one entry a followed run, and so many deltas a tick.
        """
        followed = self._followed
        news = [
            item
            for item in announcements
            if item.run_id in followed or item.workspace_id in followed
        ]
        fragments = [delta for delta in deltas if delta.run_id in followed]
        if not news and not fragments:
            return
        with self._lock:
            for item in news:
                known = self._incoming.get(item.run_id)
                if known is None and len(self._incoming) >= 10 * MAX_AWAITED_RUNS:
                    continue  # the periodic look finds it
                if known is None or known.head_sequence < item.head_sequence:
                    self._incoming[item.run_id] = item
            self._deltas += fragments[: MAX_TICK_DELTAS - len(self._deltas)]
        self._wake_up()

    def recheck_all(self) -> None:
        """Look at every followed topic soon: news may have been lost. Any thread."""
        self._call(self._make_all_due)

    def _wake_up(self) -> None:
        with self._lock:
            if self._is_woken:
                return
            self._is_woken = True
        self._call(self._wake.set)

    def _call(self, action: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody is left to tell
            self._loop.call_soon_threadsafe(action)

    def _make_all_due(self) -> None:
        for stream in self._streams.values():
            stream.due_at = 0.0
        self._wake.set()

    # Viewers; the hub's loop only.

    async def subscribe(self, topic: Topic, after: Position | None) -> Subscription:
        """Follow `topic` behind `after`; None means from now on.

        Raises CursorError for a position the topic has not reached, LimitExceededError when this
        process serves as many viewers as it can, UnavailableError while rows cannot be read.
        """
        if self._count >= MAX_SUBSCRIPTIONS:
            raise LimitExceededError(
                f"This server already serves {MAX_SUBSCRIPTIONS} live viewers.",
                remedy="Try again later, or read the events as pages.",
                retry_after_seconds=5,
            )
        stream = await self._opened(topic)
        try:
            if after is not None and after > stream.position:
                head = await self._reader.head_of(topic)
                topic.require_reached(after, head)
                stream.due_at = 0.0
            position = stream.position if after is None else after
            subscription = Subscription(self, topic, position)
            stream.members.add(subscription)
        finally:
            stream.joining -= 1
            self._drop_if_unused(stream)
        self._count += 1
        self._wake.set()
        return subscription

    def position(self, topic: Topic) -> Position:
        return self._streams[topic].position

    async def page(self, topic: Topic, position: Position) -> list[EventsFrame]:
        """Read one page of rows for one viewer that is behind; waits while the store is away."""
        delay = _RETRY_FIRST_SECONDS
        while True:
            try:
                rows = await self._reader.rows_after(topic, position, limit=MAX_FRAME_EVENTS)
                return list(frames_of(topic, rows))
            except UnavailableError as error:
                log.warning("live.page_failed", topic=topic.key, error=str(error))
                delay = min(delay * 2, _RETRY_LAST_SECONDS)
                await asyncio.sleep(delay)

    def leave(self, subscription: Subscription) -> None:
        stream = self._streams.get(subscription.topic)
        if stream is None or subscription not in stream.members:
            return
        stream.members.discard(subscription)
        self._count -= 1
        self._drop_if_unused(stream)

    async def aclose(self) -> None:
        """End every subscription (code 1001) and the hub's tasks; the reader is closed too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close_all(CLOSE_GOING_AWAY, "The server is stopping; connect again.")
        await self._reader.aclose()

    async def _opened(self, topic: Topic) -> _Stream:
        """Return the topic's stream with its first position read; the caller is `joining`."""
        stream = self._streams.get(topic)
        if stream is not None:
            stream.joining += 1
            try:
                await asyncio.shield(stream.opened)
            except BaseException:
                stream.joining -= 1
                raise
            return stream
        stream = _Stream(topic=topic, opened=self._loop.create_future(), joining=1)
        self._streams[topic] = stream
        self._publish_followed()  # before reading, so that nothing falls between
        try:
            stream.position = await self._reader.head_of(topic)
        except BaseException as error:
            del self._streams[topic]
            self._publish_followed()
            failure = error if isinstance(error, UnavailableError) else _opening_failed()
            stream.opened.set_exception(failure)
            stream.opened.exception()  # retrieved: there may be nobody else waiting
            raise
        stream.opened.set_result(None)
        return stream

    def _drop_if_unused(self, stream: _Stream) -> None:
        if not stream.members and not stream.joining:
            self._streams.pop(stream.topic, None)
            self._publish_followed()

    def _publish_followed(self) -> None:
        self._followed = frozenset(topic.run_id or topic.workspace_id for topic in self._streams)

    # Delivery.

    async def _deliver_forever(self) -> None:
        last = 0.0
        while True:
            await self._wait_for_work()
            if (pause := last + TICK_SECONDS - monotonic()) > 0:
                await asyncio.sleep(pause)
            self._take_in()
            last = monotonic()
            for stream in [item for item in self._streams.values() if item.due_at <= last]:
                if stream.members:
                    await self._advance(stream)

    async def _wait_for_work(self) -> None:
        due_at = min(
            (stream.due_at for stream in self._streams.values() if stream.members), default=None
        )
        pause = POLL_SECONDS if due_at is None else max(0.0, due_at - monotonic())
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _take_in(self) -> None:
        with self._lock:
            incoming, self._incoming = self._incoming, {}
            deltas, self._deltas = self._deltas, []
            self._is_woken = False
        now = monotonic()
        # Fragments first: they were sent before the commit that supersedes them.
        for frame, workspace_id in _coalesced(deltas):
            if stream := self._streams.get(Topic(workspace_id, frame.run_id)):
                _offer_all(stream, frame)
        for item in incoming.values():
            for topic in (Topic(item.workspace_id, item.run_id), Topic(item.workspace_id)):
                if stream := self._streams.get(topic):
                    _await_run(stream, item, now)

    async def _advance(self, stream: _Stream) -> None:
        """Read what is new in one topic and offer it to everybody who is live."""
        for _ in range(_MAX_PAGES):
            try:
                rows = await self._reader.rows_after(
                    stream.topic, stream.position, limit=MAX_FRAME_EVENTS
                )
            except UnavailableError as error:
                log.warning("live.read_failed", topic=stream.topic.key, error=str(error))
                stream.retry_seconds = _RETRY_LAST_SECONDS
                stream.due_at = monotonic() + _RETRY_LAST_SECONDS
                return
            for frame in frames_of(stream.topic, rows):
                stream.position = frame.last
                _offer_all(stream, frame)
            for row in rows:
                if stream.awaited.get(row.run_id, row.sequence + 1) <= row.sequence:
                    del stream.awaited[row.run_id]
            if len(rows) < MAX_FRAME_EVENTS:
                _schedule(stream, has_read=bool(rows))
                return
        stream.due_at = 0.0  # more to come; the other topics have their turn first

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            quiet = monotonic() - HEARTBEAT_SECONDS
            for stream in list(self._streams.values()):
                for member in list(stream.members):
                    if member.is_drained and member.quiet_since <= quiet:
                        member.offer(HEARTBEAT)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        log.error("live.hub_failed", task=task.get_name(), exc_info=task.exception())
        self._close_all(CLOSE_INTERNAL, "Live delivery failed; connect again with your cursor.")

    def _close_all(self, code: int, reason: str) -> None:
        for stream in list(self._streams.values()):
            for member in list(stream.members):
                member.close(code, reason)

    @property
    def is_running(self) -> bool:
        """Say whether the hub still delivers; a hub that failed is replaced, not revived."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)


def _offer_all(stream: _Stream, frame: EventsFrame | DeltaFrame) -> None:
    for member in list(stream.members):
        member.offer(frame)


def _await_run(stream: _Stream, item: Announcement, now: float) -> None:
    is_known = stream.topic.run_id is not None and item.head_sequence <= stream.position[0]
    if is_known:
        return
    if not stream.awaited:
        stream.awaited_since = now
    stream.retry_seconds = 0.0
    if len(stream.awaited) < MAX_AWAITED_RUNS or item.run_id in stream.awaited:
        stream.awaited[item.run_id] = max(item.head_sequence, stream.awaited.get(item.run_id, 0))
    stream.due_at = now


def _schedule(stream: _Stream, *, has_read: bool) -> None:
    """Say when to look again: soon while an announced event is missing, else at the next poll."""
    now = monotonic()
    if stream.awaited and now - stream.awaited_since > _AWAIT_SECONDS:
        stream.awaited.clear()
    if not stream.awaited:
        stream.retry_seconds = 0.0
        stream.due_at = now + POLL_SECONDS
        return
    step = 0.0 if has_read else stream.retry_seconds
    stream.retry_seconds = min(max(_RETRY_FIRST_SECONDS, step * 2), _RETRY_LAST_SECONDS)
    stream.due_at = now + stream.retry_seconds


def _coalesced(deltas: Sequence[Delta]) -> list[tuple[DeltaFrame, UUID]]:
    """Join neighbouring fragments of one answer into one frame."""
    joined: dict[tuple[UUID, UUID, int, DeltaChannel], list[str]] = {}
    for delta in deltas:
        key = (delta.workspace_id, delta.run_id, delta.after_sequence, delta.channel)
        joined.setdefault(key, []).append(delta.text)
    return [
        (
            DeltaFrame(run_id=run_id, after_sequence=after, channel=channel, delta="".join(texts)),
            workspace_id,
        )
        for (workspace_id, run_id, after, channel), texts in joined.items()
    ]


def _opening_failed() -> UnavailableError:
    return UnavailableError("The stream could not be opened.", remedy="Connect again.")
