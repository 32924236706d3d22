"""A small HTTP/1.1 server on asyncio streams, low enough to misbehave on purpose.

Supports what the vendors' clients use: keep-alive, bodies by length or in chunks, answers by
length or streamed in chunks. It does nothing of its own accord: no compression, no redirects.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

MAX_BODY_BYTES = 64 * 1024 * 1024
_LINE_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(slots=True)
class Exchange:
    """One request and the means to answer it."""

    request: Request
    _writer: asyncio.StreamWriter
    _is_streaming: bool = field(default=False, init=False)

    async def send(
        self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> None:
        fields = {"content-type": "application/json", **(headers or {})}
        fields["content-length"] = str(len(body))
        self._writer.write(_head(status, fields) + body)
        await self._writer.drain()

    async def begin(self, content_type: str) -> None:
        fields = {"content-type": content_type, "transfer-encoding": "chunked"}
        self._writer.write(_head(200, fields))
        self._is_streaming = True
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await self._writer.drain()

    async def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def cut(self) -> None:
        """Drop the connection with a reset, as a crashing server does."""
        self._writer.transport.abort()


Handler = Callable[[Exchange], Awaitable[None]]


class HttpServer:
    """Serves one handler on one address; `port` is known after `start`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = await asyncio.start_server(
            self._serve, host, port, limit=_LINE_LIMIT, ssl=tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and end every open exchange, also the hanging ones."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                await self._handler(Exchange(request, writer))
                if writer.transport.is_closing():
                    break
                if request.headers.get("connection", "").lower() == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away, which is its right
        except _BadRequestError as error:
            writer.write(_head(400, {"content-length": "0", "x-why": str(error)}))
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                writer.close()
                await writer.wait_closed()


class _BadRequestError(ValueError):
    pass


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    except asyncio.LimitOverrunError:
        raise _BadRequestError("the head is too large") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _version = first.split(" ")
    except ValueError:
        raise _BadRequestError("the request line is not valid") from None
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    url = urlsplit(target)
    return Request(
        method=method,
        path=unquote(url.path),
        query=dict(parse_qsl(url.query)),
        headers=headers,
        body=await _read_body(reader, headers),
    )


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
            if len(body) > MAX_BODY_BYTES:
                raise _BadRequestError("the body is too large")
        await reader.readline()
        return bytes(body)
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise _BadRequestError("the content length is not valid")
    return await reader.readexactly(int(length))


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
