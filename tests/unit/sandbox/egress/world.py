"""A world for a gateway: names in a table, servers on loopback that keep what they were sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from core.addresses import why_refused
from sandbox.contracts import HostCredential
from sandbox.egress import SOCKET, Bounds, Gateway, Outside, Ranges

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
# Two loopback addresses play public ones; every other address is what it is.
PUBLIC = ("127.0.0.1", "127.0.0.2")
QUICK = Bounds(head_seconds=0.3, connect_seconds=2, idle_seconds=0.5, total_seconds=20)


def judge(address: str) -> str:
    return "" if address in PUBLIC else why_refused(address)


class Names:
    """A resolver that answers from a table, one answer after the other, and keeps the questions."""

    def __init__(self, **table: Sequence[Sequence[str]]) -> None:
        self.table: dict[str, Sequence[Sequence[str]]] = dict(table)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.table:
            raise OSError("no such name")
        answers = self.table[host]
        return answers[min(self.asked.count(host), len(answers)) - 1]


class Upstream:
    """A server that keeps each connection's bytes; `answer` is sent after the first head."""

    def __init__(self, answer: bytes | Answer, context: ssl.SSLContext | None) -> None:
        self.answer = answer
        self.context = context
        self.got: list[bytes] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self.context, limit=2**20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.got)
        self.got.append(b"")
        try:
            if callable(self.answer):
                await self.answer(reader, writer)
                return
            self.got[number] += await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answer)
            await writer.drain()
            if self.answer:
                writer.write_eof() if writer.can_write_eof() else writer.close()
            while data := await reader.read(2**16):
                self.got[number] += data
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@cache
def authority() -> trustme.CA:
    return trustme.CA()


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = Names()
        self.gateway: Gateway
        self.upstreams: list[Upstream] = []
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority().configure_trust(self.trust)

    async def upstream(
        self, *names: str, answer: bytes | Answer = OK, with_tls: str = ""
    ) -> Upstream:
        """Start a server known by these names; `with_tls` is its certificate's name."""
        context = None
        if with_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority().issue_cert(with_tls).configure_cert(context)
        found = Upstream(answer, context)
        await found.start()
        self.upstreams.append(found)
        for name in names:
            self.names.table[name] = [["127.0.0.1"]]
        return found

    @asynccontextmanager
    async def opened(
        self,
        *net: str,
        credentials: Sequence[HostCredential] = (),
        bounds: Bounds = QUICK,
        ranges: Sequence[str] = (),
    ) -> AsyncIterator[Gateway]:
        outside = Outside(
            ranges=Ranges.of(ranges, setting="ranges"),
            resolver=self.names,
            why_refused=judge,
            trust=lambda: self.trust,
        )
        self.gateway = Gateway(net, credentials, outside=outside, bounds=bounds)
        try:
            async with self.gateway.open(self.folder / "way"):
                yield self.gateway
        finally:
            for upstream in self.upstreams:
                upstream.stop()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self.folder / "way" / SOCKET), limit=2**20)

    async def ask(self, data: bytes, *, ends: bool = False) -> bytes:
        """Send bytes as they are, return everything that comes back."""
        reader, writer = await self.connect()
        writer.write(data)
        if ends:
            writer.write_eof()
        answer = await _all_of(reader)
        writer.close()
        return answer

    async def ask_tls(
        self, place: str, data: bytes, *, name: str, context: ssl.SSLContext
    ) -> bytes:
        """CONNECT to a place, speak TLS with a server called `name`, send, return the answer."""
        reader, writer = await self.connect()
        writer.write(f"CONNECT {place} HTTP/1.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            writer.close()
            return head + await _all_of(reader)
        await writer.start_tls(context, server_hostname=name)
        writer.write(data)
        answer = await _all_of(reader)
        writer.close()
        return answer

    def inside_trust(self) -> ssl.SSLContext:
        """Return what a program inside believes."""
        roots = b"".join(self.gateway.files.values()).decode()
        first = roots[: roots.index("-----END CERTIFICATE-----") + 26]
        context = ssl.create_default_context(cadata=first)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    found = b""
    try:
        async with asyncio.timeout(10):
            while data := await reader.read(2**16):
                found += data
    except (ConnectionError, ssl.SSLError):
        return found
    return found


def hello_of(name: str | None) -> bytes:
    """Return the first bytes of a TLS client that wants `name`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    link: Any = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        link.do_handshake()
    return out.read()
