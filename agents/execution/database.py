"""The engine's database thread: synchronous ORM work off the event loop, one job at a time.

Its connection is checked before each job and thrown away after a failure, so that a database that
restarted costs a retry and not the worker.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection

logger = logging.getLogger(__name__)
T = TypeVar("T")


class DatabaseThread:
    """Runs jobs in order. Jobs are safe to repeat, since a lost connection repeats them."""

    def __init__(self, *, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-db")

    async def run(self, job: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._guarded, job)

    def _guarded(self, job: Callable[[], T]) -> T:
        give_up_at = time.monotonic() + self._patience_seconds
        delay = 0.05
        while True:
            close_old_connections()
            try:
                return job()
            except (OperationalError, InterfaceError):
                if time.monotonic() > give_up_at:
                    raise
                logger.warning("database_unreachable", exc_info=True)
                connection.close()
                time.sleep(delay)
                delay = min(delay * 2, 1.0)

    def close(self) -> None:
        self._executor.submit(_close_own)
        self._executor.shutdown(wait=True)


def _close_own() -> None:
    """Close the connection of the thread this runs in; `connection.close` read elsewhere would
    be another thread's."""
    connection.close()
