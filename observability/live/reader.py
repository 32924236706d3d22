"""How the hub reads rows without ever blocking its loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from core.errors import UnavailableError
from observability.contracts import EventRecord
from observability.cursors import Position, Topic
from observability.selectors import rows

T = TypeVar("T")


class RowReader(Protocol):
    """Reads committed events. Every method raises UnavailableError while the store is away."""

    async def rows_after(
        self, topic: Topic, position: Position, *, limit: int
    ) -> list[EventRecord]: ...

    async def head_of(self, topic: Topic) -> Position: ...

    async def is_ended(self, topic: Topic) -> bool: ...

    async def workspace_of_run(self, run_id: UUID) -> UUID | None: ...

    async def aclose(self) -> None: ...


class DatabaseReader:
    """Reads through the ORM in one thread of its own, on one connection.

    One thread is enough, because rows are read once for all viewers, and it bounds what live
    delivery can take from the database. A connection that broke (the server was restarted) is
    replaced and the read tried once more before anybody hears of it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-reader")

    async def rows_after(
        self, topic: Topic, position: Position, *, limit: int
    ) -> list[EventRecord]:
        return await self._run(lambda: rows.rows_after(topic, position, limit=limit))

    async def head_of(self, topic: Topic) -> Position:
        return await self._run(lambda: rows.head_of(topic))

    async def is_ended(self, topic: Topic) -> bool:
        return await self._run(lambda: rows.is_ended(topic))

    async def workspace_of_run(self, run_id: UUID) -> UUID | None:
        return await self._run(lambda: rows.workspace_of_run(run_id))

    async def aclose(self) -> None:
        """Close the connection and end the thread; reads under way finish first."""
        await asyncio.get_running_loop().run_in_executor(self._pool, _close_connection)
        self._pool.shutdown(wait=True)

    async def _run(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _guarded, read)


def _guarded(read: Callable[[], T]) -> T:
    connection.close_if_unusable_or_obsolete()
    try:
        return read()
    except (OperationalError, InterfaceError):
        connection.close()
    try:
        return read()
    except DatabaseError as error:
        connection.close()
        raise UnavailableError(
            f"Events cannot be read: {str(error).strip().splitlines()[0]}",
            remedy="The database must be reachable; reading goes on by itself when it is.",
        ) from error


def _close_connection() -> None:
    connection.close()  # looked up here, because each thread has its own
