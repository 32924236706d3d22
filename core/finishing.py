"""Finishing what has been begun although the caller is being cancelled."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_the_end(work: Awaitable[T]) -> T:
    """Await the work to its end; a cancel meanwhile is forgotten, so raise it again afterwards."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


async def undivided(work: Awaitable[T]) -> T:
    """Await the work to its end, then pass a cancel on that came meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await to_the_end(task)
        raise
