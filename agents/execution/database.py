"""A database thread: synchronous ORM work off the event loop, one job at a time.

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

from core.clock import monotonic
from core.errors import UnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class DatabaseThread:
    """Runs jobs in order. Jobs are safe to repeat, since a lost connection repeats them.

    Waiting in line counts: whoever has waited `patience_seconds` behind jobs that found no database
    is not made to wait for another.
    """

    def __init__(self, *, patience_seconds: float = 60.0) -> None:
        self._patience_seconds = patience_seconds
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-db")

    async def run(self, job: Callable[[], T]) -> T:
        """Do `job` and return what it returns.

        Raises:
            UnavailableError: The database did not answer in time.
        """
        give_up_at = monotonic() + self._patience_seconds
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, _persistently, job, give_up_at)

    def close(self) -> None:
        self._executor.submit(_close_own)
        self._executor.shutdown(wait=True)


def _persistently(job: Callable[[], T], give_up_at: float) -> T:
    cause: Exception | None = None
    delay = 0.05
    while monotonic() <= give_up_at:
        close_old_connections()
        try:
            return job()
        except (OperationalError, InterfaceError) as error:
            cause = error
            logger.warning("database_unreachable", exc_info=True)
            connection.close()
            time.sleep(delay)
            delay = min(delay * 2, 1.0)
    raise UnavailableError(
        "The database does not answer right now.", remedy="Try again in a moment."
    ) from cause


def _close_own() -> None:
    """Close the connection of the thread this runs in; `connection.close` read elsewhere would
    be another thread's."""
    connection.close()
