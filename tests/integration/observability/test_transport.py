"""News between processes: batching, outages, bounds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from observability.contracts import Announcement, Delta
from observability.live import transport
from observability.live.transport import LiveProcess, RedisPublisher
from tests.services import RedisServer, free_port

pytestmark = [pytest.mark.redis]

WORKSPACE, RUN = UUID(int=1), UUID(int=2)


class Ear:
    """Stands where a hub stands and keeps what it hears."""

    def __init__(self) -> None:
        self.heads: list[int] = []
        self.texts: list[str] = []
        self.rechecks = 0
        self.is_running = True
        self.news = asyncio.Event()

    def notify(self, announcements: list[Announcement], deltas: list[Delta] = ()) -> None:  # type: ignore[assignment]  # the empty default
        self.heads += [item.head_sequence for item in announcements]
        self.texts += [delta.text for delta in deltas]
        self.news.set()

    def recheck_all(self) -> None:
        self.rechecks += 1
        self.news.set()

    async def aclose(self) -> None:
        return None

    async def heard(self, head: int) -> None:
        async with asyncio.timeout(20):
            while head not in self.heads:
                self.news.clear()
                await self.news.wait()

    async def rechecked(self, count: int) -> None:
        async with asyncio.timeout(20):
            while self.rechecks < count:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[tuple[LiveProcess, Ear]]:
    ear = Ear()
    process = LiveProcess(redis_url=url, make_hub=lambda: ear)  # type: ignore[arg-type, return-value]
    process.hub()
    await ear.rechecked(1)
    try:
        yield process, ear
    finally:
        await process.aclose()
        process.close()


def news(head: int) -> list[Announcement]:
    return [Announcement(WORKSPACE, RUN, head)]


async def test_news_of_one_process_reaches_another_and_its_own_only_once(redis_url: str) -> None:
    writer = LiveProcess(redis_url=redis_url, make_hub=lambda: pytest.fail("it has no viewers"))
    async with listening(redis_url) as (own, ear):
        own.announce(news(1))
        writer.announce(news(2))
        writer.emit_delta(Delta(WORKSPACE, RUN, 2, "hello", "reasoning"))
        writer.announce(news(3))
        await ear.heard(3)
        own.announce(news(4))
        writer.announce(news(5))
        await ear.heard(5)
    writer.close()

    assert ear.heads.count(1) == ear.heads.count(4) == 1
    assert ear.texts == ["hello"]


async def test_a_writer_is_never_held_up_by_a_redis_that_is_away() -> None:
    publisher = RedisPublisher(f"redis://127.0.0.1:{free_port()}/0", origin="me")
    began = time.monotonic()
    for head in range(20_000):
        publisher.publish(news(head), [Delta(WORKSPACE, RUN, head, "x")])
    took_seconds = time.monotonic() - began

    assert took_seconds < 5
    assert len(publisher._waiting) <= 1
    assert len(publisher._deltas) <= transport.MAX_WAITING_DELTAS
    publisher.close()


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_WAITING_RUNS", 10)
    publisher = RedisPublisher(f"redis://127.0.0.1:{free_port()}/0", origin="me")
    for number in range(100):
        publisher.publish([Announcement(WORKSPACE, UUID(int=number), 1)])

    assert len(publisher._waiting) <= 10
    publisher.close()


async def test_after_an_outage_rows_are_looked_at_again_and_news_flows(
    redis_url: str, redis_server: RedisServer
) -> None:
    writer = RedisPublisher(redis_url, origin="other")
    async with listening(redis_url) as (_, ear):
        writer.publish(news(1))
        await ear.heard(1)

        redis_server.stop()
        writer.publish(news(2))
        redis_server.restart()
        await ear.rechecked(2)
        writer.publish(news(3))
        await ear.heard(3)
    writer.close()

    assert ear.heads == sorted(ear.heads)


async def test_an_entry_nobody_can_read_is_passed_over(
    redis_url: str, redis_server: RedisServer
) -> None:
    writer = RedisPublisher(redis_url, origin="other")
    async with listening(redis_url) as (_, ear):
        writer._client.xadd(transport.STREAM, {b"b": b"\xc1 nonsense"})
        writer._client.xadd(transport.STREAM, {b"other": b"field"})
        writer.publish(news(7))
        await ear.heard(7)
    writer.close()

    assert ear.heads == [7]


async def test_a_hub_that_failed_is_replaced_and_its_reader_ended(redis_url: str) -> None:
    ears = [Ear(), Ear()]
    process = LiveProcess(
        redis_url=redis_url,
        make_hub=lambda: ears[len(process._hubs)],  # type: ignore[arg-type, return-value]
    )
    first: object = process.hub()
    await ears[0].rechecked(1)
    ears[0].is_running = False

    second: object = process.hub()
    await asyncio.gather(*process._retiring)

    assert first is ears[0]
    assert second is not first
    assert list(process._readers) == [second]
    await process.aclose()
    process.close()
