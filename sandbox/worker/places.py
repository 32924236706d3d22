"""How many sandboxes may be open at once, and waiting for one of the places in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.errors import SandboxCrowdedError


class Places:
    """First come, first served."""

    def __init__(self, *, at_most: int, wait_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_most)
        self._at_most = at_most
        self._wait_seconds = wait_seconds

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a place for the length of the block.

        Raises:
            SandboxCrowdedError: None became free in time.
        """
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise SandboxCrowdedError(
                f"All {self._at_most} sandboxes of this host are in use, and none was closed in "
                f"{self._wait_seconds:g} seconds.",
                remedy="Try again later, or raise AGENTRY_SANDBOX_AT_MOST.",
            ) from None
        try:
            yield
        finally:
            self._free.release()
