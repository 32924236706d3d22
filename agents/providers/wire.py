"""One request to a vendor and its streamed answer: connection, time-outs, size caps, event data.

What the events mean is the adapters' business.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, Protocol, TypeVar

import httpx2
import msgspec

from agents.contracts import ProviderConfig
from agents.errors import ProviderConnectionError, ProviderRequestError, ProviderTimeoutError
from agents.providers.endpoint import GuardedTransport, checked_base_url
from agents.providers.failures import Failures
from agents.providers.sse import EventTooLargeError, SseDecoder
from core.errors import InvalidInputError

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
_HEAD_BYTES = 512


class OddAnswerError(ValueError):
    """A piece of an answer is valid JSON, and yet not something the vendor's protocol allows."""


class Piece(Protocol):
    """One decoded event; every vendor may send an error in the place of one."""

    @property
    def error(self) -> Any: ...


P = TypeVar("P", bound=Piece)


class VendorConnection:
    """The HTTP side of one provider. Belongs to the event loop it is first used on."""

    def __init__(
        self,
        config: ProviderConfig,
        *,
        default_base_url: str,
        key_header: tuple[str, str],
        headers: Mapping[str, str] | None = None,
        max_connections: int = 64,
    ) -> None:
        self.name = config.name or config.kind.value
        self.base_url = checked_base_url(config.base_url or default_base_url, provider=self.name)
        key = config.api_key.strip()
        self.failures = Failures(self.name, [key, *config.headers.values()])
        self._timeout_seconds = config.timeout_seconds
        sent = {"accept": "text/event-stream", "accept-encoding": "identity"}
        sent |= {"content-type": "application/json", "user-agent": "agentry-cloud"}
        sent |= headers or {}
        if key:
            sent[key_header[0]] = key_header[1].format(key)
        sent |= {name.lower(): value for name, value in config.headers.items()}
        self._client = httpx2.AsyncClient(
            transport=GuardedTransport(max_connections=max_connections),
            headers=_checked_headers(sent, self.name),
            timeout=httpx2.Timeout(config.timeout_seconds),
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"VendorConnection(name={self.name!r}, base_url={self.base_url!r})"

    async def events(
        self, path: str, body: Mapping[str, Any], *, model: str
    ) -> AsyncGenerator[bytes, None]:
        """Post `body`; yield the data of each event of the answer as it arrives.

        A server that answers with one JSON document instead of a stream yields that document.
        Raises the ProviderError for everything that is not a well-formed answer.
        """
        try:
            content = msgspec.json.encode(body)
        except (TypeError, ValueError, RecursionError) as error:
            raise ProviderRequestError(
                f"The request to {self.name} cannot be written as JSON: {error}.",
                remedy="Check the model's options and the tools' schemas.",
            ) from None
        started = False
        try:
            async with self._client.stream("POST", self.base_url + path, content=content) as answer:
                self._check_encoding(answer)
                if answer.status_code != 200:
                    raw = await _read_some(answer, MAX_ERROR_BYTES)
                    raise self.failures.from_status(
                        answer.status_code, answer.headers, raw, model=model
                    )
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind == "application/json":
                    yield await self._document(answer)
                    return
                if kind in ("text/html", "application/xhtml+xml"):
                    page = await _read_some(answer, _HEAD_BYTES)
                    raise self.failures.protocol("answered with a web page, not a model's", page)
                started = True
                async with aclosing(self._events_of(answer)) as events:
                    async for event in events:
                        yield event
        except httpx2.TransportError as error:
            raise self.failures.from_transport(
                error, timeout_seconds=self._timeout_seconds, started=started
            ) from None
        except httpx2.DecodingError:
            raise self.failures.protocol("sent an answer whose compression is broken") from None

    def decoded(self, data: bytes, decode: Callable[[bytes], P], *, noun: str, model: str) -> P:
        """Read one event of an answer; raise the ProviderError it stands for instead."""
        try:
            piece = decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.failures.protocol(f"sent {noun} that is not valid", data) from None
        if piece.error:
            raise self.failures.from_error_object(piece.error, model=model)
        return piece

    @contextmanager
    def reading(self, is_whole: Callable[[], bool]) -> Iterator[None]:
        """Take an answer apart inside; what is odd about it becomes the ProviderError.

        A connection that breaks once the answer `is_whole` ends the reading and nothing else:
        only the farewell is missing.
        """
        try:
            yield
        except OddAnswerError as error:
            raise self.failures.protocol(str(error)) from None
        except (ProviderConnectionError, ProviderTimeoutError):
            if not is_whole():
                raise

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _events_of(self, answer: httpx2.Response) -> AsyncGenerator[bytes, None]:
        decoder = SseDecoder()
        head, received, seen = b"", 0, False
        limit = MAX_RESPONSE_BYTES
        # Undecoded bytes skip two layers of generators; decoding is needed only where encoded.
        encoded = answer.headers.get("content-encoding", "identity") != "identity"
        try:
            async for chunk in answer.aiter_bytes() if encoded else answer.aiter_raw():
                received += len(chunk)
                if received > limit:
                    raise self.failures.protocol(f"sent more than {limit} bytes in one answer")
                if not seen:
                    head = (head + chunk)[:_HEAD_BYTES] if len(head) < _HEAD_BYTES else head
                for event in decoder.feed(chunk):
                    seen = True
                    yield event
            for event in decoder.close():
                seen = True
                yield event
        except EventTooLargeError as error:
            raise self.failures.protocol(f"sent an answer that was refused: {error}") from None
        if not seen and head.strip():
            raise self.failures.protocol("answered 200 with something that is no stream", head)

    def _check_encoding(self, answer: httpx2.Response) -> None:
        encoding = answer.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", "gzip", "deflate"):
            # The stronger ones turn a few bytes into gigabytes, and none was asked for.
            raise self.failures.protocol(
                "compressed its answer in a way that is not read", encoding
            )

    async def _document(self, answer: httpx2.Response) -> bytes:
        body = await _read_some(answer, MAX_RESPONSE_BYTES + 1)
        if len(body) > MAX_RESPONSE_BYTES:
            raise self.failures.protocol(f"sent more than {MAX_RESPONSE_BYTES} bytes")
        return body


async def _read_some(answer: httpx2.Response, limit: int) -> bytes:
    """Read up to `limit` bytes; what comes after is left unread and the connection dropped."""
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def _checked_headers(headers: Mapping[str, str], provider: str) -> dict[str, str]:
    for name, value in headers.items():
        if not name.isascii() or not value.isascii() or not (name + value).isprintable():
            raise InvalidInputError(
                f"The header {name!r} of provider {provider} holds characters that HTTP forbids.",
                remedy="Use plain letters without line breaks; a key is often copied with more.",
                fields={"headers": [f"{name}: not plain ASCII text."]},
            )
    return dict(headers)
