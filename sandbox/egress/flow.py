"""Moving bytes between two ends, counted and bounded in size and time."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from sandbox.egress.bounds import Bounds
from sandbox.egress.ending import FailedError, GatewayError, MessageError
from sandbox.egress.mask import Mask
from sandbox.egress.messages import Body

CHUNK = 64 * 1024
_LINE_BYTES = 1024
_MOST_TRAILERS = 32
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e]*)?")


class Meter:
    """What all connections of one call have moved together."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.sent_bytes = self.received_bytes = 0

    def sent(self, count: int) -> None:
        """Raises FailedError beyond the bound."""
        self.sent_bytes += count
        if self.sent_bytes > self._bounds.sent_bytes:
            raise FailedError(f"the call has sent more than {self._bounds.sent_bytes} bytes")

    def received(self, count: int) -> None:
        """Raises FailedError beyond the bound."""
        self.received_bytes += count
        if self.received_bytes > self._bounds.received_bytes:
            raise FailedError(
                f"the call has received more than {self._bounds.received_bytes} bytes"
            )


class Patience:
    """Ends a connection on which nothing moves, and one that goes on for too long."""

    def __init__(self, bounds: Bounds, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._idle_seconds = bounds.idle_seconds
        self._end = asyncio.get_running_loop().time() + bounds.total_seconds
        self.moved()

    def moved(self) -> None:
        if self._timeout.expired():
            return
        now = asyncio.get_running_loop().time()
        self._timeout.reschedule(min(now + self._idle_seconds, self._end))


class Flow:
    """One direction of one connection. `count` is told of every byte before it moves on."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        count: Callable[[int], None],
        kind: type[GatewayError] = MessageError,
        mask: Mask | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._count = count
        self._kind = kind  # of what is said about a body that is wrong
        self._mask = mask or Mask(())

    async def write(self, data: bytes) -> None:
        if data:
            self._count(len(data))
            self._writer.write(data)
            await self._writer.drain()

    async def all(self) -> None:
        """Move everything until the end, and pass the end on."""
        while data := await self._reader.read(CHUNK):
            await self.write(self._mask.hide(data))
        await self.write(self._mask.rest())
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def body(self, body: Body, *, as_chunks: bool) -> None:
        """Move one body and not a byte more; whatever follows stays unread."""
        if body.is_chunked:
            async for data in self._chunks():
                await self._piece(self._mask.hide(data), as_chunks=as_chunks)
        elif body.is_until_end:
            while data := await self._reader.read(CHUNK):
                await self._piece(self._mask.hide(data), as_chunks=as_chunks)
        else:
            left = body.length
            while left:
                data = await self._reader.read(min(left, CHUNK))
                if not data:
                    raise self._kind("the body ended early")
                left -= len(data)
                await self._piece(self._mask.hide(data), as_chunks=as_chunks)
        await self._piece(self._mask.rest(), as_chunks=as_chunks)
        if as_chunks:
            await self.write(b"0\r\n\r\n")

    async def _piece(self, data: bytes, *, as_chunks: bool) -> None:
        if data:
            await self.write(b"%x\r\n%b\r\n" % (len(data), data) if as_chunks else data)

    async def _chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces of a chunked body; extensions and trailers are dropped."""
        while left := await self._chunk_size():
            while left:
                data = await self._reader.read(min(left, CHUNK))
                if not data:
                    raise self._kind("the body ended early")
                left -= len(data)
                yield data
            if await self._line():
                raise self._kind("a chunk is longer than it says")
        for _ in range(_MOST_TRAILERS):
            if not await self._line():
                return
        raise self._kind("there are too many trailers")

    async def _chunk_size(self) -> int:
        size = _CHUNK_SIZE.fullmatch(await self._line())
        if size is None:
            raise self._kind("a chunk has no size")
        return int(size[1], 16)

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError:
            raise self._kind("the body ended early") from None
        except asyncio.LimitOverrunError:
            raise self._kind("a line of the body is too long") from None
        if len(line) > _LINE_BYTES or b"\n" in line[:-2] or b"\r" in line[:-2]:
            raise self._kind("a line of the body cannot be read")
        return line[:-2]


async def both(one: Coroutine[Any, Any, None], other: Coroutine[Any, Any, None]) -> None:
    """Do both to their ends; the first failure ends the other and is raised."""
    tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
    try:
        await asyncio.gather(*tasks)
    finally:
        await _ended(tasks)


async def beside(main: Coroutine[Any, Any, None], side: Coroutine[Any, Any, None]) -> None:
    """Do `main` to its end, and `side` until then; a failure of either ends both and is raised."""
    tasks = [asyncio.ensure_future(main), asyncio.ensure_future(side)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0] not in done:
            tasks[1].result()
            await tasks[0]
        tasks[0].result()
    finally:
        await _ended(tasks)


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
