"""One careful HTTP client for addresses that came from a model, a page or a plugin.

It resolves names itself, refuses addresses that are not public (see `addresses`) and connects to
the very address it judged: the connection is made below the HTTP library, with the address, while
TLS is still verified against the name. So a name that resolves differently a moment later (DNS
rebinding) changes nothing. Redirects are followed by hand, each judged anew. Size counts after
decompression, time counts from the first look-up to the last byte. Proxies from the environment
are not used; nothing is kept between requests, neither connections nor cookies.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import httpcore2
import httpx2
import msgspec

from core.addresses import allowed_hosts, normal_host, why_refused
from plugins.errors import ToolError

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_REDIRECTS = 5
MAX_URL_CHARACTERS = 8000
CONNECT_SECONDS = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}


class TargetRefusedError(ToolError):
    """The address may not be asked; nothing was sent.

    Allow the host with AGENTRY_FETCH_ALLOW if it is meant to be reached.
    """

    code = "target_refused"


class NotSentError(ToolError):
    """No connection came about; nothing was sent.

    Check the address and that something listens there.
    """

    code = "not_sent"


class NoAnswerError(ToolError):
    """The request, or a part of it, was sent, and no whole answer came.

    Look at the target before asking again: the request may have had its effect.
    """

    code = "no_answer"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `is_cut`: the body was longer than allowed and ends early."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    url: str
    is_cut: bool = False

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """Decode the body by the charset it declares; what does not fit becomes U+FFFD."""
        parameters = self.headers.get("content-type", "").lower()
        charset = parameters.partition("charset=")[2].partition(";")[0].strip(" \"'")
        try:
            return self.body.decode(charset or "utf-8", errors="replace")
        except (LookupError, UnicodeError):
            return self.body.decode(errors="replace")


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Resolve by the system's own means, in the order it prefers."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@lru_cache(maxsize=1)
def _system_trust() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


class SafeClient:
    """Sends requests to public addresses, and to the `host:port` pairs in `allow_hosts`.

    Cheap to make; holds no connection. Safe for concurrent use.
    """

    def __init__(
        self,
        *,
        allow_hosts: Iterable[str] = (),
        resolver: Resolver = system_resolver,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed = allowed_hosts(allow_hosts)
        self._resolver = resolver
        self._trust = trust

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        timeout_seconds: float = 30.0,
        max_bytes: int = 8 * 1024 * 1024,
        max_redirects: int = 0,
    ) -> Answer:
        """Send one request; follow up to `max_redirects` redirects of a GET or HEAD.

        Raises `TargetRefusedError` and `NotSentError` when nothing was sent, `NoAnswerError` when
        something was. Any status is an answer.
        """
        sent = _Sent()
        try:
            async with asyncio.timeout(timeout_seconds):
                target = self._parsed(url)
                for _ in range(max_redirects + 1):
                    answer = await self._once(
                        method, target, headers or {}, content, max_bytes, sent
                    )
                    if answer.status not in _REDIRECTS or not max_redirects:
                        return answer
                    target = self._next(target, answer)
                raise NoAnswerError(
                    f"{url[:300]} redirects more than {max_redirects} times.",
                    remedy="Ask for the final address.",
                )
        except TimeoutError as error:
            kind = NoAnswerError if sent.began else NotSentError
            raise kind(
                f"{_place(url)} gave no whole answer in {timeout_seconds:g} seconds."
            ) from error

    def _parsed(self, url: str) -> httpx2.URL:
        if len(url) > MAX_URL_CHARACTERS:
            raise TargetRefusedError(f"The URL is longer than {MAX_URL_CHARACTERS} characters.")
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
            raise TargetRefusedError(f"The URL is not valid: {error}.") from error
        if parsed.scheme not in _PORTS:
            raise TargetRefusedError(
                f"The URL scheme {parsed.scheme or '(none)'!r} is not supported.",
                remedy="Use http or https.",
            )
        if parsed.userinfo:
            raise TargetRefusedError(
                "The URL holds a user name or password.", remedy="Leave out what stands before @."
            )
        if not parsed.host:
            raise TargetRefusedError("The URL names no host.", remedy="Write it in full.")
        return parsed

    def _next(self, target: httpx2.URL, answer: Answer) -> httpx2.URL:
        location = answer.headers.get("location", "")
        if not location:
            raise NoAnswerError(f"{_place(str(target))} redirects without saying where.")
        try:
            return self._parsed(str(target.join(location)))
        except (httpx2.InvalidURL, ValueError) as error:
            raise TargetRefusedError(f"A redirect leads to an invalid URL: {error}.") from error

    async def _once(
        self,
        method: str,
        target: httpx2.URL,
        headers: Mapping[str, str],
        content: bytes,
        max_bytes: int,
        sent: "_Sent",
    ) -> Answer:
        pool = httpcore2.AsyncConnectionPool(
            ssl_context=self._trust or (_system_trust() if target.scheme == "https" else None),
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=_JudgingBackend(self._allowed, self._resolver),
        )
        fields = {"host": target.netloc.decode("ascii"), **headers}
        if content or method not in ("GET", "HEAD"):
            fields["content-length"] = str(len(content))
        request = httpcore2.Request(
            method=method,
            url=httpcore2.URL(
                scheme=target.raw_scheme,
                host=target.raw_host,
                port=target.port,
                target=target.raw_path,
            ),
            headers=[(name.encode("ascii"), value.encode()) for name, value in fields.items()],
            content=content,
            extensions={"trace": sent.watch},
        )
        try:
            async with pool:
                response = await pool.handle_async_request(request)
                try:
                    return await _answer(response, str(target), max_bytes)
                finally:
                    await response.aclose()
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            OSError,
        ) as error:
            reason = str(error) or type(error).__name__
            # A local protocol error is ours: a header that may not be sent, found before sending.
            if sent.began and not isinstance(error, httpcore2.LocalProtocolError):
                raise NoAnswerError(
                    f"{_place(str(target))} broke the connection off: {reason}."
                ) from error
            raise NotSentError(f"{_place(str(target))} could not be reached: {reason}.") from error


class _Sent:
    """Watches whether the first byte of a request may have left."""

    def __init__(self) -> None:
        self.began = False

    async def watch(self, event: str, _info: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.began = True


class _JudgingBackend(httpcore2.AsyncNetworkBackend):
    """Connects the HTTP library: resolve, judge every address, connect to one of them."""

    def __init__(self, allowed: frozenset[tuple[str, int]], resolver: Resolver) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await self._resolver(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:
            raise NotSentError(f"The host name {host} cannot be resolved: {error}.") from error
        if not addresses:
            raise NotSentError(f"The host name {host} has no address.")
        if (normal_host(host.strip("[]")), port) not in self._allowed:
            for address in addresses:
                if why := why_refused(address):
                    raise TargetRefusedError(
                        f"{host}:{port} is {why} ({address}), and such addresses are refused.",
                        remedy="An administrator can allow it in AGENTRY_FETCH_ALLOW.",
                    )
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout=CONNECT_SECONDS, socket_options=socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


async def _answer(response: httpcore2.Response, url: str, max_bytes: int) -> Answer:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    body = bytearray()
    unpacked = _Unpacker(headers.get("content-encoding", ""), url)
    async for chunk in response.aiter_stream():
        # One byte more than allowed is enough to know that there is more.
        body += unpacked.feed(chunk, max_bytes + 1 - len(body))
        if len(body) > max_bytes:
            break
    return Answer(
        status=response.status,
        headers=headers,
        body=bytes(body[:max_bytes]),
        url=url,
        is_cut=len(body) > max_bytes,
    )


class _Unpacker:
    """Undoes gzip or deflate, never beyond the bytes it is asked for."""

    def __init__(self, encoding: str, url: str) -> None:
        self._url = url
        self._inflate: Any = None
        name = encoding.strip().lower()
        if name in ("gzip", "x-gzip"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        elif name == "deflate":
            self._inflate = zlib.decompressobj()
        elif name not in ("", "identity"):
            raise NoAnswerError(
                f"{_place(url)} answered in the unsupported encoding {name[:40]!r}."
            )

    def feed(self, data: bytes, room: int) -> bytes:
        if self._inflate is None:
            return data[:room]
        try:
            return bytes(self._inflate.decompress(data, room))
        except zlib.error as error:
            raise NoAnswerError(f"{_place(self._url)} sent a damaged body: {error}.") from error


def _place(url: str) -> str:
    """Name a URL in a sentence, without its query, which may hold secrets."""
    return url.partition("?")[0].partition("#")[0][:300]
