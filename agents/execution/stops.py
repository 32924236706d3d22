"""Why a driver is told to stop, from the mildest reason to the gravest, and how it is."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from agents.contracts import Control
from core import clock

T = TypeVar("T")


class Stop(StrEnum):
    """In the order of gravity; the gravest one asked for counts."""

    NONE = ""
    RELOAD = "reload"  # its debugger was changed: give it back, to be claimed as it is now
    DRAIN = "drain"  # give the run back at the next step boundary
    PAUSE = "pause"
    ABANDON = "abandon"  # give it back now, whatever it is doing
    DEADLINE = "deadline"
    CANCEL = "cancel"

    @property
    def gravity(self) -> int:
        return _GRAVITY[self]

    def interrupts(self) -> bool:
        """Whether it ends what the run waits for, instead of waiting for a step boundary."""
        return self in _AT_ONCE


_GRAVITY = {stop: gravity for gravity, stop in enumerate(Stop)}
_AT_ONCE = frozenset({Stop.ABANDON, Stop.DEADLINE, Stop.CANCEL})


class Brake:
    """Stops the task of one driver. Used on the loop's thread only, at any time."""

    def __init__(self) -> None:
        self.asked = Stop.NONE
        self.task: asyncio.Task[None] | None = None
        self._can_interrupt = False

    def stop(self, stop: Stop) -> None:
        """Ask the run to stop. Grave reasons interrupt what it waits for, others wait for a
        step boundary."""
        if stop.gravity <= self.asked.gravity:
            return
        self.asked = stop
        if stop.interrupts() and self._can_interrupt and self.task is not None:
            self._can_interrupt = False
            self.task.cancel()

    def withdraw(self, stop: Stop) -> None:
        """Take back what was asked, where nothing graver was asked since."""
        if self.asked is stop:
            self.asked = Stop.NONE

    def obey(self, control: str) -> None:
        """Take note of what somebody asked of the run."""
        if control == Control.CANCEL:
            self.stop(Stop.CANCEL)
        elif control == Control.PAUSE:
            self.stop(Stop.PAUSE)

    def arm(self, deadline_at: datetime | None) -> asyncio.TimerHandle | None:
        """Stop the run when its time is over, unless the handle is cancelled before."""
        if deadline_at is None:
            return None
        left = (deadline_at - clock.now()).total_seconds()
        loop = asyncio.get_running_loop()
        return loop.call_later(max(left, 0.0), self.stop, Stop.DEADLINE)

    async def interruptible(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Await `work`, which a grave stop may cancel; None when that happened."""
        if self.asked.interrupts():
            work.close()
            return None
        self._can_interrupt = True
        try:
            return await work
        except asyncio.CancelledError:
            if self.asked.interrupts() and not self._can_interrupt:
                current = asyncio.current_task()
                if current is not None:
                    current.uncancel()
                return None
            raise
        finally:
            self._can_interrupt = False
