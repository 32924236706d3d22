"""How many sandboxes may be open at once, and waiting for one of the places in turn."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.contracts import Crowd
from sandbox.errors import SandboxCrowdedError


class Places:
    """First come, first served."""

    def __init__(self, *, at_most: int, wait_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_most)
        self._at_most = at_most
        self._wait_seconds = wait_seconds
        self._taken = 0
        self._waiting: dict[object, float] = {}  # since when, the first first

    def crowd(self) -> Crowd:
        """Say how many hold a place now and how many wait for one."""
        oldest = next(iter(self._waiting.values()), None)
        return Crowd(
            at_most=self._at_most,
            taken=self._taken,
            waiting=len(self._waiting),
            oldest_seconds=0.0 if oldest is None else time.monotonic() - oldest,
        )

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            SandboxCrowdedError: None became free in time.
        """
        me = object()
        self._waiting[me] = time.monotonic()
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise SandboxCrowdedError(
                f"All {self._at_most} sandboxes of this host are in use, and none was closed in "
                f"{self._wait_seconds:g} seconds.",
                remedy="Try again later, or raise AGENTRY_SANDBOX_AT_MOST.",
            ) from None
        finally:
            del self._waiting[me]
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
            self._free.release()
