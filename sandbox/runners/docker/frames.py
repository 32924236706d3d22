"""Standard output out of what a container engine sends for an attached container.

Output and error come in frames: one byte of stream, three of nothing, four of length, the data
(Docker Engine API, "Attach to a container").
"""

import asyncio
import struct

_HEADER = struct.Struct(">BxxxL")
_STDOUT, _STDERR = 1, 2
_PIECE_BYTES = 64 * 1024
_KEPT_BYTES = 2000


class FrameReader:
    """Lines of the standard output; what comes on standard error is kept, as last words."""

    def __init__(self, reader: asyncio.StreamReader, *, line_bytes: int) -> None:
        self._reader = reader
        self._line_bytes = line_bytes
        self._buffer = bytearray()
        self._stream = _STDOUT
        self._left = 0
        self._words = b""

    @property
    def last_words(self) -> str:
        return " ".join(self._words.decode(errors="replace").split())

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Return one line with its end; as `asyncio.StreamReader` does, and it may be cancelled.

        Raises:
            asyncio.IncompleteReadError: The container ended.
            asyncio.LimitOverrunError: The line is too long, or is no frame.
        """
        searched = 0
        while (end := self._buffer.find(separator, searched)) < 0:
            if len(self._buffer) > self._line_bytes:
                raise asyncio.LimitOverrunError("the line is too long", len(self._buffer))
            searched = max(0, len(self._buffer) - len(separator) + 1)
            await self._more()
        line = bytes(self._buffer[: end + len(separator)])
        del self._buffer[: len(line)]
        return line

    async def _more(self) -> None:
        if self._left == 0:
            self._stream, self._left = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
            if self._stream not in {_STDOUT, _STDERR}:
                raise asyncio.LimitOverrunError("this is no frame of output", 0)
            return
        data = await self._reader.read(min(self._left, _PIECE_BYTES))
        if not data:
            raise asyncio.IncompleteReadError(bytes(self._buffer), None)
        self._left -= len(data)
        if self._stream == _STDOUT:
            self._buffer += data
        else:
            self._words = (self._words + data)[-_KEPT_BYTES:]
