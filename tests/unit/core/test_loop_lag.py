import asyncio
import threading
from collections.abc import Callable

import pytest
import uvloop

from core.loop_lag import LoopWatch, SlowCallback, recent, unwatched, watched

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def holds_the_loop(release: threading.Event) -> None:
    release.wait(20)


async def a_coroutine_that_blocks(release: threading.Event) -> None:
    holds_the_loop(release)


class Watched:
    """A loop in a thread with a watch that lets go of what holds it once it was looked at."""

    def __init__(self, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self.loop = make_loop()
        self.release = threading.Event()
        self.told: list[SlowCallback] = []
        self.heard = threading.Event()
        self.lags: list[float] = []
        self.watch = LoopWatch(
            self.loop, 0.05, self._slow, on_lag=self.lags.append, beat_seconds=0.01
        )
        look = self.watch._look

        def looked() -> tuple[str, ...]:
            found = look()
            self.release.set()
            return found

        self.watch._look = looked  # type: ignore[method-assign]  # a pause point of this test
        self.thread = threading.Thread(target=self._run)

    def _slow(self, slow: SlowCallback) -> None:
        self.told.append(slow)
        self.heard.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            self.stop = asyncio.Event()
            runner.run(self._main())

    async def _main(self) -> None:
        self.begun.set()
        await self.stop.wait()

    def __enter__(self) -> "Watched":
        self.begun = threading.Event()
        self.thread.start()
        assert self.begun.wait(10)
        watched(self.watch)
        while not self.lags:  # the loop has answered once and its thread is known
            threading.Event().wait(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        unwatched(self.watch)
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


@pytest.mark.parametrize("make_loop", LOOPS)
def test_a_callback_above_the_threshold_is_named(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with Watched(make_loop) as site:
        site.loop.call_soon_threadsafe(holds_the_loop, site.release)
        assert site.heard.wait(10)
        assert site.told[0] in recent()
        assert site.told[0] in site.watch.recent()
    slow = site.told[0]
    assert slow.where.startswith(f"{__name__}:holds_the_loop:")
    assert slow.seconds >= 0.05
    assert slow.stack[0] == slow.where
    assert slow.stack[-1].startswith("threading:")
    assert site.watch.recent()[0] not in recent()  # a stopped watch is forgotten


@pytest.mark.parametrize("make_loop", LOOPS)
def test_of_a_task_the_coroutine_is_named(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with Watched(make_loop) as site:
        asyncio.run_coroutine_threadsafe(a_coroutine_that_blocks(site.release), site.loop)
        assert site.heard.wait(10)
    slow = site.told[0]
    assert slow.where.startswith(f"{__name__}:a_coroutine_that_blocks:")
    assert slow.stack[1].startswith(f"{__name__}:holds_the_loop:")


def test_every_beat_is_measured_and_a_free_loop_is_not_reported() -> None:
    with Watched(asyncio.new_event_loop) as site:
        while len(site.lags) < 5:
            threading.Event().wait(0.005)
    assert site.watch.lags()[: len(site.lags)] == site.lags
    assert all(lag >= 0 for lag in site.lags)
    assert [slow for slow in site.told if slow.seconds < 0.05] == []


def test_whoever_is_told_may_fail_and_the_watch_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with Watched(asyncio.new_event_loop) as site:

        def fails(_lag: float) -> None:
            site.watch._on_lag = site.lags.append
            raise RuntimeError("no room")

        site.watch._on_lag = fails
        site.lags.clear()
        while not site.lags:
            threading.Event().wait(0.005)
    assert "loop_watch_report_failed" in caplog.text


def test_a_watch_ends_with_its_loop() -> None:
    with Watched(asyncio.new_event_loop) as site:
        site.loop.call_soon_threadsafe(site.stop.set)
        site.thread.join(10)
        site.watch._thread.join(10)
        assert not site.watch._thread.is_alive()


async def test_a_watch_without_a_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        LoopWatch(asyncio.get_running_loop(), 0)
