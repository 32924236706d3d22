"""One connection from inside: its request, the verdict, and what moves until it ends.

    CONNECT host:port           a tunnel; TLS in it must be meant for the host
    CONNECT to a bound host     the gateway speaks TLS itself on both sides and adds the header
    GET http://host/…           one request, sent on with fields of our own making

A connection carries one request or one tunnel. What follows a request on the same connection is
never read, so there is no second request that could be meant for somebody else.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass

from sandbox.contracts import Connection
from sandbox.egress.bounds import Bounds
from sandbox.egress.credentials import Credentials
from sandbox.egress.ending import FailedError, GatewayError, MessageError, RefusedError
from sandbox.egress.flow import (
    CHUNK,
    Flow,
    Meter,
    Patience,
    beside,
    both,
    closed_in_order,
    fed,
    sent,
)
from sandbox.egress.hello import HELLO_BYTES, HelloError, UnfinishedError, could_be_tls, read_hello
from sandbox.egress.mask import Mask
from sandbox.egress.messages import (
    Request,
    Response,
    forwarded,
    host_field,
    read_request,
    read_response,
    written,
)
from sandbox.egress.outside import Outside, Streams, close
from sandbox.egress.rules import Place, Rules, host_of

# Ports on which everything speaks TLS from the first byte (IANA service names).
TLS_PORTS = frozenset({443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 5061, 5671, 6514, 6697,
                       8443, 8883})  # fmt: skip
_MOST_INTERIM = 8
_REASONS = {400: "Bad Request", 403: "Forbidden", 408: "Request Timeout", 502: "Bad Gateway",
            503: "Service Unavailable", 504: "Gateway Timeout"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all conversations of one sandbox share."""

    rules: Rules
    credentials: Credentials
    outside: Outside
    bounds: Bounds


class Conversation:
    """See the module. `serve` once, then read `record`."""

    def __init__(self, desk: Desk, meter: Meter, near: Streams) -> None:
        self._desk = desk
        self._meter = meter
        self._reader, self._writer = near
        self._patience: Patience | None = None
        self._has_answered = self._has_exchanged = False
        self._place: Place | None = None
        self._verdict: GatewayError | None = None
        self._sent = self._received = 0

    def cut(self) -> None:
        """Say that the call ended before this did."""
        if self._verdict is None and not self._has_answered:
            self._verdict = FailedError("the call ended first")

    @property
    def record(self) -> Connection:
        verdict = self._verdict
        return Connection(
            host=self._place.host if self._place else "",
            port=self._place.port if self._place else 0,
            is_allowed=verdict.is_allowed if verdict else True,
            reason=verdict.reason if verdict else "",
            sent_bytes=self._sent,
            received_bytes=self._received,
        )

    async def serve(self) -> None:
        """Do what is asked for, as far as it is allowed. Leaves the near end open."""
        try:
            async with asyncio.timeout(None) as timeout:
                self._patience = Patience(self._desk.bounds, timeout)
                await self._serve()
        except GatewayError as error:
            self._verdict = error
        except TimeoutError:
            self._verdict = FailedError("nothing moved for too long, or it took too long")
        except (OSError, EOFError) as error:
            self._verdict = FailedError(f"the connection broke: {type(error).__name__}")
        except Exception as error:
            self._verdict = FailedError(f"the gateway failed: {type(error).__name__}")
            raise
        if self._verdict is not None and not self._has_answered:
            await self._tell(self._verdict)

    async def turn_away(self) -> None:
        """Say that too many are open, without reading anything."""
        self._verdict = RefusedError("too many connections are open at once", status=503)
        await self._tell(self._verdict)

    async def _serve(self) -> None:
        request = read_request(await self._head(self._reader, MessageError))
        if request.method == "CONNECT":
            self._place = request.connect_place()
            if self._desk.credentials.fields_for(self._place):
                await self._look_inside(self._place)
            else:
                await self._tunnel(self._place)
            return
        self._place, rest = request.absolute()
        if self._place.port in TLS_PORTS:
            raise RefusedError("this port is for TLS, and the request is plain")
        await self._exchange(
            request, self._place, rest, (self._reader, self._writer), with_tls=False
        )

    async def _head(self, reader: asyncio.StreamReader, kind: type[GatewayError]) -> bytes:
        try:
            async with asyncio.timeout(self._desk.bounds.head_seconds):
                return await reader.readuntil(b"\r\n\r\n")
        except TimeoutError:
            status = 408 if kind is MessageError else 504
            raise kind("the head did not come in time", status=status) from None
        except asyncio.LimitOverrunError:
            raise kind("the head is too long") from None
        except asyncio.IncompleteReadError:
            raise kind("it ended before the head did") from None

    # Tunnels

    async def _tunnel(self, place: Place) -> None:
        far = await self._desk.outside.reach(
            place, self._desk.rules, self._desk.bounds, with_tls=False
        )
        try:
            await self._accept()
            out = Flow(self._reader, far[1], count=self._count_sent)
            back = Flow(far[0], self._writer, count=self._count_received)
            await both(self._checked_out(out, place), back.all())
        except ConnectionError:
            if not self._was_left():
                raise
        finally:
            await close(far[1])

    def _was_left(self) -> bool:
        """Say whether the program inside had its answer and hung up, which is no failure.

        With TLS a program often closes before the far end's farewell has come: a reset.
        """
        return self._received > 0 and self._reader.exception() is not None

    async def _accept(self) -> None:
        self._has_answered = True
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._writer.drain()

    async def _checked_out(self, out: Flow, place: Place) -> None:
        """Look at what goes out first, then let all of it pass."""
        first, _ = await self._first_bytes(place)
        await out.write(first)
        await out.all()

    async def _first_bytes(self, place: Place) -> tuple[bytes, bool]:
        """Return what the client begins with, and whether it is TLS (for the right host).

        Nothing of it has left. Raises RefusedError.
        """
        data = b""
        while True:
            more = await self._reader.read(CHUNK)
            data += more
            if data and not could_be_tls(data):
                if place.port in TLS_PORTS:
                    raise RefusedError("this port is for TLS, and what came is not")
                return data, False
            try:
                name = read_hello(data).server_name
            except UnfinishedError:
                if not more and not data:
                    return b"", False
                if not more:
                    raise RefusedError("it ended in the middle of its hello") from None
                if len(data) > HELLO_BYTES:
                    raise RefusedError("its hello is too long") from None
                continue
            except HelloError as reason:
                raise RefusedError(f"the TLS cannot be judged: {reason}") from None
            self._check_name(name, place)
            return data, True

    def _check_name(self, name: str, place: Place) -> None:
        if not name and place.is_address:
            return
        try:
            is_same = host_of(name) == place.host
        except ValueError:
            is_same = False
        if not is_same:
            told = f"names {name[:253]!r}" if name else "names no host"
            raise RefusedError(f"the TLS {told} and the connection is for {place.host}")

    # Hosts that get a header

    async def _look_inside(self, place: Place) -> None:
        """Be the server for the client: what it sends is put through a pair of sockets."""
        if not self._desk.rules.allow(place):
            raise RefusedError("the host and port are not on the list")
        await self._accept()
        first, is_tls = await self._first_bytes(place)
        if not first:
            raise MessageError("it ended before its request")
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            out = Flow(self._reader, writer, count=self._count_nothing)
            back = Flow(reader, self._writer, count=self._count_nothing)
            await beside(
                both(self._answer_inside(theirs, place, is_tls=is_tls), back.all()),
                fed(out, first),
            )
        finally:
            theirs.close()
            await close(writer)

    async def _answer_inside(self, end: socket.socket, place: Place, *, is_tls: bool) -> None:
        streams = await self._spoken(end, place, is_tls=is_tls)
        try:
            request = read_request(await self._head(streams[0], MessageError))
            request.check_host(place, default_port=443 if is_tls else 80)
            if not request.target.startswith("/"):
                raise MessageError("the target does not begin with a slash")
            await self._exchange(request, place, request.target, streams, with_tls=is_tls)
        except GatewayError as error:
            if not self._has_exchanged:
                await self._tell(error, streams[1])
            raise
        finally:
            await closed_in_order(streams[1])

    async def _spoken(self, end: socket.socket, place: Place, *, is_tls: bool) -> Streams:
        reader = asyncio.StreamReader(limit=self._desk.bounds.head_bytes)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                end,
                ssl=self._desk.credentials.authority.context_for(place.host) if is_tls else None,
                ssl_handshake_timeout=self._desk.bounds.head_seconds if is_tls else None,
            )
        except ssl.SSLError as error:
            raise MessageError(f"the client does not agree to TLS: {error.reason}") from None
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    # One request and its answer

    async def _exchange(
        self, request: Request, place: Place, target: str, near: Streams, *, with_tls: bool
    ) -> None:
        added = self._desk.credentials.fields_for(place)
        if added and request.method == "TRACE":
            raise RefusedError("TRACE would send the credential back")
        body = request.body()
        far = await self._desk.outside.reach(
            place, self._desk.rules, self._desk.bounds, with_tls=with_tls
        )
        try:
            mask = Mask(self._desk.credentials.secrets_for(place))
            if request.wants_to_be_told_to_go_on():
                near[1].write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = self._head_for(request, place, target, added, with_tls=with_tls)
            out = Flow(near[0], far[1], count=self._count_sent)
            await out.write(head)
            await beside(
                self._pass_answer(request, far[0], near[1], mask),
                sent(out, body),
            )
        finally:
            await close(far[1])

    def _head_for(
        self,
        request: Request,
        place: Place,
        target: str,
        added: tuple[tuple[str, str], ...],
        *,
        with_tls: bool,
    ) -> bytes:
        dropped = [name for name, _ in added]
        if added:
            dropped.append("accept-encoding")  # what is packed cannot be looked through
        fields = forwarded(request.fields, without=dropped)
        return written(
            f"{request.method} {target} HTTP/1.1",
            (
                host_field(place, default_port=443 if with_tls else 80),
                *fields,
                *((("Accept-Encoding", "identity"),) if added else ()),
                *added,
                *request.body().fields(may_be_empty=request.method not in {"POST", "PUT", "PATCH"}),
                ("Connection", "close"),
            ),
        )

    async def _pass_answer(
        self,
        request: Request,
        far: asyncio.StreamReader,
        near: asyncio.StreamWriter,
        mask: Mask,
    ) -> None:
        response = await self._response(far, mask)
        if mask.is_looking and response.encoding() not in {"", "identity"}:
            raise FailedError("the answer is packed, and could hide the credential")
        body = response.body(method=request.method)
        is_old = request.version == "HTTP/1.0"
        as_chunks = body.is_chunked and not is_old
        self._has_answered = self._has_exchanged = True
        back = Flow(far, near, count=self._count_received, kind=FailedError, mask=mask)
        fields = forwarded(response.fields)
        if request.method == "HEAD" or response.status == 304:
            fields += tuple(f for f in response.fields if f[0].lower() == "content-length")[:1]
        else:
            sized = body if as_chunks or not body.is_chunked else None
            fields += sized.fields(may_be_empty=response.status in {204, 304}) if sized else ()
        first = f"HTTP/1.1 {response.status} {response.reason}"
        await back.write(written(first, (*fields, ("Connection", "close"))))
        await back.body(body, as_chunks=as_chunks)

    async def _response(self, far: asyncio.StreamReader, mask: Mask) -> Response:
        for _ in range(_MOST_INTERIM):
            response = read_response(mask.hidden(await self._answer_head(far)))
            if response.status == 101:
                raise FailedError("the answer changes the protocol, which nobody asked for")
            if response.status >= 200:
                return response
        raise FailedError("there are too many interim answers")

    async def _answer_head(self, far: asyncio.StreamReader) -> bytes:
        try:
            return await far.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise FailedError("the answer's head is too long") from None
        except asyncio.IncompleteReadError:
            raise FailedError("it ended without an answer") from None

    # Counting and telling

    def _count_sent(self, count: int) -> None:
        self._count_nothing(count)
        self._meter.sent(count)
        self._sent += count

    def _count_received(self, count: int) -> None:
        self._count_nothing(count)
        self._meter.received(count)
        self._received += count

    def _count_nothing(self, _count: int) -> None:
        if self._patience is not None:
            self._patience.moved()

    async def _tell(self, error: GatewayError, writer: asyncio.StreamWriter | None = None) -> None:
        """Answer with a sentence, as far as the other end still listens."""
        writer = writer or self._writer
        self._has_answered = True
        text = f"The sandbox's gateway did not pass this on: {error.reason}.\n".encode()
        fields = (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(text))),
            ("Connection", "close"),
        )
        first = f"HTTP/1.1 {error.status} {_REASONS[error.status]}"
        try:
            async with asyncio.timeout(self._desk.bounds.head_seconds):
                writer.write(written(first, fields) + text)
                await writer.drain()
        except (OSError, TimeoutError):
            return  # it does not listen; the record has the reason
