"""The fan-out hub on a store in memory: sharing, bounds, catching up, failures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from core.errors import LimitExceededError, UnavailableError
from observability.contracts import Announcement, Delta, EventRecord
from observability.cursors import Position, Topic
from observability.errors import CursorError
from observability.live import fanout
from observability.live.fanout import Hub
from observability.live.frames import DeltaFrame, EventsFrame, Frame, HeadFrame
from observability.live.subscription import MAX_QUEUED_FRAMES, Subscription, ViewClosedError

WORKSPACE, RUN = UUID(int=1), UUID(int=2)
TOPIC = Topic(WORKSPACE, RUN)
AT = datetime(2026, 3, 1, tzinfo=UTC)


class MemoryReader:
    """Rows of one run; counts reads and can be away."""

    def __init__(self) -> None:
        self.rows: list[EventRecord] = []
        self.hidden_behind: int | None = None
        self.is_away = False
        self.reads = 0

    def add(self, count: int, *, size: int = 10) -> Announcement:
        for _ in range(count):
            sequence = len(self.rows) + 1
            self.rows.append(
                EventRecord(
                    id=sequence, workspace_id=WORKSPACE, run_id=RUN, sequence=sequence, txid=0,
                    kind="run.note", at=AT, payload=msgspec.Raw(b'"' + b"x" * size + b'"'),
                )
            )  # fmt: skip
        return Announcement(WORKSPACE, RUN, len(self.rows))

    def _visible(self) -> list[EventRecord]:
        if self.is_away:
            raise UnavailableError("The store is away.")
        return self.rows[: self.hidden_behind]

    async def rows_after(
        self, topic: Topic, position: Position, *, limit: int
    ) -> list[EventRecord]:
        self.reads += 1
        found = [row for row in self._visible() if topic.position(row) > position]
        return found[:limit]

    async def head_of(self, topic: Topic) -> Position:
        rows = self._visible()
        return topic.position(rows[-1]) if rows else (0, 0)

    async def is_ended(self, topic: Topic) -> bool:
        return False

    async def workspace_of_run(self, run_id: UUID) -> UUID | None:
        return WORKSPACE

    async def aclose(self) -> None:
        return None


@asynccontextmanager
async def running(reader: MemoryReader) -> AsyncIterator[Hub]:
    hub = Hub.start(reader)
    try:
        yield hub
    finally:
        await hub.aclose()


async def until_live(view: Subscription) -> list[int]:
    seen: list[int] = []
    while True:
        frame = await view.next()
        seen += numbers(frame)
        if isinstance(frame, HeadFrame) and frame.is_live:
            return seen


def numbers(frame: Frame) -> list[int]:
    return [row.sequence for row in frame.events] if isinstance(frame, EventsFrame) else []


async def reads(reader: MemoryReader, count: int) -> None:
    """Wait until the reader was asked `count` times."""
    while reader.reads < count:  # noqa: ASYNC110 - the loop's own clock is what is tested
        await asyncio.sleep(0.001)


async def take(view: Subscription, count: int) -> list[int]:
    seen: list[int] = []
    async with asyncio.timeout(10):
        while len(seen) < count:
            seen += numbers(await view.next())
    return seen


async def test_all_viewers_share_one_read_and_one_encoding() -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        views = [await hub.subscribe(TOPIC, (0, 0)) for _ in range(50)]
        for view in views:
            await until_live(view)
        before = reader.reads

        hub.notify([reader.add(3)])
        frames = [await view.next() for view in views]

        assert reader.reads == before + 1
    assert {id(frame) for frame in frames} == {id(frames[0])}
    assert numbers(frames[0]) == [1, 2, 3]
    assert frames[0].text(is_payload_visible=True) is frames[0].text(is_payload_visible=True)


async def test_a_cursor_resumes_behind_itself_and_goes_on_live() -> None:
    reader = MemoryReader()
    reader.add(1200)
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, (700, 0))
        seen = await until_live(view)
        hub.notify([reader.add(2)])
        seen += await take(view, 2)

    assert seen == list(range(701, 1203))


async def test_none_means_from_now_on() -> None:
    reader = MemoryReader()
    reader.add(5)
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, None)
        assert await until_live(view) == []
        hub.notify([reader.add(1)])

        assert await take(view, 1) == [6]


async def test_a_cursor_ahead_of_the_rows_is_refused_and_leaves_nothing_behind() -> None:
    reader = MemoryReader()
    reader.add(5)
    async with running(reader) as hub:
        with pytest.raises(CursorError):
            await hub.subscribe(TOPIC, (6, 0))

        assert hub.subscription_count == 0
        assert hub._streams == {}


async def test_a_cursor_newer_than_the_hubs_last_look_is_accepted() -> None:
    reader = MemoryReader()
    reader.add(5)
    async with running(reader) as hub:
        await until_live(await hub.subscribe(TOPIC, (0, 0)))
        reader.add(3)  # announced to another process only
        view = await hub.subscribe(TOPIC, (8, 0))
        assert await until_live(view) == []
        hub.notify([reader.add(1)])

        assert await take(view, 1) == [9]


async def test_a_viewer_that_stops_reading_is_bounded_and_catches_up_from_rows() -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        slow, quick = [await hub.subscribe(TOPIC, (0, 0)) for _ in range(2)]
        await until_live(slow)
        await until_live(quick)
        seen: list[int] = []
        for _ in range(MAX_QUEUED_FRAMES + 20):
            hub.notify([reader.add(1)])
            seen += await take(quick, 1)

        assert slow.fell_behind == 1
        assert len(slow._queue) <= MAX_QUEUED_FRAMES
        assert await take(slow, len(reader.rows)) == seen == list(range(1, len(reader.rows) + 1))
        await until_live(slow)
        hub.notify([reader.add(1)])
        assert await take(slow, 1) == [len(reader.rows)]


async def test_large_frames_are_bounded_by_bytes() -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        slow, quick = [await hub.subscribe(TOPIC, (0, 0)) for _ in range(2)]
        await until_live(slow)
        await until_live(quick)
        for _ in range(30):
            hub.notify([reader.add(4, size=60_000)])
            await take(quick, 4)

        assert slow.fell_behind >= 1
        assert slow._queued_bytes < 1.3 * 1024 * 1024


async def test_an_announced_row_that_is_not_visible_yet_is_asked_for_again_soon() -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        view = await hub.subscribe(Topic(WORKSPACE), (0, 0))
        await until_live(view)
        reader.hidden_behind = 0
        hub.notify([reader.add(1)])
        before = reader.reads
        await reads(reader, before + 3)
        reader.hidden_behind = None

        async with asyncio.timeout(fanout.POLL_SECONDS):
            assert await take(view, 1) == [1]


async def test_rows_nobody_announced_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "POLL_SECONDS", 0.05)
    reader = MemoryReader()
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)
        reader.add(2)

        assert await take(view, 2) == [1, 2]


async def test_a_store_that_is_away_delays_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "_RETRY_LAST_SECONDS", 0.02)
    reader = MemoryReader()
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)
        reader.is_away = True
        with pytest.raises(UnavailableError):
            await hub.subscribe(Topic(WORKSPACE), (0, 0))
        before = reader.reads
        hub.notify([reader.add(2)])
        await reads(reader, before + 2)
        reader.is_away = False

        assert await take(view, 2) == [1, 2]
        assert hub.subscription_count == 1


async def test_fragments_of_one_answer_are_joined_and_come_before_their_event() -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)
        words = [Delta(WORKSPACE, RUN, 0, f"w{index} ") for index in range(3)]
        hub.notify([reader.add(1)], [*words, Delta(WORKSPACE, RUN, 0, "hm", "reasoning")])
        frames = [await view.next() for _ in range(3)]

    assert frames[0] == DeltaFrame(run_id=RUN, after_sequence=0, channel="text", delta="w0 w1 w2 ")
    assert frames[1] == DeltaFrame(run_id=RUN, after_sequence=0, channel="reasoning", delta="hm")
    assert numbers(frames[2]) == [1]
    assert frames[0].text(is_payload_visible=False) is None


async def test_a_quiet_viewer_hears_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "HEARTBEAT_SECONDS", 0.0)
    async with running(MemoryReader()) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)
        async with asyncio.timeout(5):
            frame = await view.next()

    assert frame.text(is_payload_visible=False) == '{"type":"heartbeat"}'
    assert frame.sse(is_payload_visible=False) == b": heartbeat\n\n"


async def test_closing_ends_a_waiting_viewer_with_its_code() -> None:
    async with running(MemoryReader()) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)
        waiting = asyncio.create_task(view.next())
        await asyncio.sleep(0)
        view.close(4403, "no more")
        view.close(1000, "again")
        with pytest.raises(ViewClosedError) as closed:
            await waiting

        assert (closed.value.code, closed.value.reason) == (4403, "no more")
        assert hub.subscription_count == 0
        assert hub._streams == {}


async def test_too_many_viewers_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "MAX_SUBSCRIPTIONS", 1)
    async with running(MemoryReader()) as hub:
        await hub.subscribe(TOPIC, (0, 0))
        with pytest.raises(LimitExceededError):
            await hub.subscribe(TOPIC, (0, 0))

        assert hub.subscription_count == 1


async def test_a_failure_of_the_hub_closes_its_viewers_instead_of_hanging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = MemoryReader()
    async with running(reader) as hub:
        view = await hub.subscribe(TOPIC, (0, 0))
        await until_live(view)

        async def broken(*_: Any, **__: Any) -> list[EventRecord]:
            raise RuntimeError("a bug")

        monkeypatch.setattr(reader, "rows_after", broken)
        hub.notify([reader.add(1)])
        with pytest.raises(ViewClosedError) as closed:
            await view.next()

        assert closed.value.code == 1011
        assert not hub.is_running


async def test_news_of_runs_nobody_follows_is_not_kept() -> None:
    async with running(MemoryReader()) as hub:
        await hub.subscribe(TOPIC, (0, 0))
        other = UUID(int=99)
        hub.notify([Announcement(UUID(int=98), other, 5)], [Delta(UUID(int=98), other, 1, "x")])

        assert hub._incoming == {}
        assert hub._deltas == []
