"""How late an event loop is, and which callback held it up.

A thread asks the loop for a sign of life at an even pace. How long the sign takes is the lag: what
every other callback of that loop waits too. When it is late, the thread looks at where the loop's
thread is and notes the callback. Places in code only: no variables, no arguments, no payloads.
The loop itself needs no debug mode and pays for one small callback a beat.
"""

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import FrameType

from core import clock

logger = logging.getLogger(__name__)

KEPT = 100
LAGS_KEPT = 1_200
BEAT_SECONDS = 0.25
STACK_DEPTH = 40
BETWEEN = "between callbacks"
# Frames of these are how a loop comes to call something, not what it calls.
_MACHINERY = ("asyncio", "uvloop", "threading", "concurrent", "uvicorn", "anyio")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCallback:
    """One callback that held its loop up. `where` is `module:function:line`, or BETWEEN; `stack`
    goes from the callback inwards, ending where it was when it was looked at."""

    at: datetime
    seconds: float
    where: str
    stack: tuple[str, ...]


class LoopWatch:
    """Watches one loop from a thread of its own, from `start` to `stop`.

    `on_slow` is called in the watching thread once the loop answers again, `on_lag` there after
    every beat with its lag in seconds. Neither may block for long: the beat waits for them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threshold_seconds: float,
        on_slow: Callable[[SlowCallback], None] | None = None,
        *,
        on_lag: Callable[[float], None] | None = None,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        if threshold_seconds <= 0 or beat_seconds <= 0:
            raise ValueError("A loop is watched with a threshold and a beat above zero seconds.")
        self._loop = loop
        self._threshold = threshold_seconds
        self._on_slow = on_slow
        self._on_lag = on_lag
        self._beat_seconds = beat_seconds
        self._answered = threading.Event()
        self._stopping = threading.Event()
        self._loop_thread: int | None = None
        self._kept: deque[SlowCallback] = deque(maxlen=KEPT)
        self._lags: deque[float] = deque(maxlen=LAGS_KEPT)
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch. The loop may not have begun to run yet."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; returns when the thread has ended. Not to be called by `on_slow`."""
        self._stopping.set()
        self._answered.set()
        if self._thread.ident is not None:
            self._thread.join()

    def recent(self) -> list[SlowCallback]:
        """Return the last slow callbacks, the newest first."""
        return list(reversed(self._kept))

    def lags(self) -> list[float]:
        """Return the lags of the last beats in seconds, the oldest first."""
        return list(self._lags)

    def _watch(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            asked_at, met_at = clock.monotonic(), 0.0

            def beat() -> None:
                nonlocal met_at
                met_at = clock.monotonic()
                self._loop_thread = threading.get_ident()
                self._answered.set()

            self._answered.clear()
            if self._stopping.is_set():
                return
            try:
                self._loop.call_soon_threadsafe(beat)
            except RuntimeError:  # the loop was closed: nothing is left to be watched
                return
            stack = self._wait()
            if not met_at:
                return
            self._note(met_at - asked_at, stack)

    def _wait(self) -> tuple[str, ...]:
        """Wait for the beat; returns where the loop was when the beat became late."""
        if self._answered.wait(self._threshold):
            return ()
        stack = self._look()
        while not self._answered.wait(self._threshold):
            if self._loop.is_closed():
                break
            # A loop that has only just begun has not said which thread is its.
            stack = stack or self._look()
        return stack

    def _look(self) -> tuple[str, ...]:
        frame = sys._current_frames().get(self._loop_thread or 0)
        return places(frame) if frame is not None else ()

    def _note(self, lag: float, stack: tuple[str, ...]) -> None:
        self._lags.append(lag)
        try:
            if self._on_lag is not None:
                self._on_lag(lag)
            if lag < self._threshold or not stack:
                return
            slow = SlowCallback(at=clock.now(), seconds=lag, where=stack[0], stack=stack)
            self._kept.append(slow)
            if self._on_slow is not None:
                self._on_slow(slow)
        except Exception:
            # Whoever is told of a lag must not end the watching.
            logger.exception("loop_watch_report_failed")


_watches: list[LoopWatch] = []


def watched(watch: LoopWatch) -> LoopWatch:
    """Start `watch` and count it among those of this process, until `unwatched`."""
    _watches.append(watch)
    watch.start()
    return watch


def unwatched(watch: LoopWatch) -> None:
    """Stop `watch` and forget it."""
    with suppress(ValueError):  # it was never counted, or is stopped a second time
        _watches.remove(watch)
    watch.stop()


def recent() -> list[SlowCallback]:
    """Return the last slow callbacks of this process's watched loops, the newest first."""
    found = [slow for watch in list(_watches) for slow in watch.recent()]
    return sorted(found, key=lambda slow: slow.at, reverse=True)


def lags() -> list[list[float]]:
    """Return the lags of the last beats of this process's watched loops, a list a loop."""
    return [watch.lags() for watch in list(_watches)]


def places(frame: FrameType) -> tuple[str, ...]:
    """Name the places of a thread's stack, from the callback inwards.

    What comes before the callback is the loop's own machinery, which is left out. A loop that is
    late between callbacks has only that: it had no processor, or another thread kept it from one.
    """
    outwards: list[FrameType] = []
    at: FrameType | None = frame
    while at is not None:
        outwards.append(at)
        at = at.f_back
    inwards = outwards[::-1]
    tops = [str(each.f_globals.get("__name__", "")).partition(".")[0] for each in inwards]
    # Functions of ours that started the loop come before its first frame.
    first = tops.index("asyncio") if "asyncio" in tops else 0
    while first < len(inwards) and tops[first] in _MACHINERY:
        first += 1
    if first == len(inwards):
        return (BETWEEN,)
    return tuple(_place(each) for each in inwards[first : first + STACK_DEPTH])


def _place(frame: FrameType) -> str:
    module = frame.f_globals.get("__name__", "?")
    return f"{module}:{frame.f_code.co_qualname}:{frame.f_lineno}"
