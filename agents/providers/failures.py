"""What went wrong at a vendor, as one sentence a person can act on.

Every text a vendor sent is cleaned here before it may enter an error: control characters are
removed, length is capped, and every piece of a secret is struck out, since some vendors repeat
the key they were given.
"""

import re
import unicodedata
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from agents.errors import (
    ProviderAuthError,
    ProviderConnectionError,
    ProviderError,
    ProviderOverloadedError,
    ProviderProtocolError,
    ProviderRateLimitError,
    ProviderRequestError,
    ProviderTimeoutError,
)
from core import clock

MAX_MESSAGE_CHARS = 500
_MAX_READ_CHARS = 8_000
_STRUCK_OUT = "[key removed]"
_WINDOW = 8

# Words vendors use in error objects, for errors that come inside a 200 stream.
_STATUS_BY_WORD = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "context_length_exceeded": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "deadline_exceeded": 504,
    "overloaded_error": 529,
    "unavailable": 503,
}


def clean_text(text: str, *, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return `text` as one printable line of at most `limit` characters."""
    printable = "".join(
        " " if unicodedata.category(char)[0] in "CZ" else char for char in text[:_MAX_READ_CHARS]
    )
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Failures:
    """Makes the errors of one provider; knows its name and what must never be repeated."""

    __slots__ = ("_name", "_secrets")

    def __init__(self, name: str, secrets: Iterable[str]) -> None:
        self._name = name
        plain = [secret for secret in secrets if len(secret) >= 4]
        self._secrets = tuple({form for secret in plain for form in (secret, quote(secret, ""))})

    def __repr__(self) -> str:
        return f"Failures({self._name!r})"

    def scrub(self, text: str) -> str:
        """Return the cleaned text without any run of eight or more characters of a secret."""
        text = clean_text(text, limit=_MAX_READ_CHARS)
        hidden = bytearray(len(text))
        for secret in self._secrets:
            width = min(_WINDOW, len(secret))
            windows = {secret[i : i + width] for i in range(len(secret) - width + 1)}
            for i in range(len(text) - width + 1):
                if text[i : i + width] in windows:
                    hidden[i : i + width] = b"\x01" * width
        pieces = [
            _STRUCK_OUT if run.group()[0] else text[run.start() : run.end()]
            for run in re.finditer(rb"\x00+|\x01+", bytes(hidden))
        ]
        # Vendors that mask a key themselves still show its ends: sk-ab****yz.
        return clean_text(re.sub(r"\b[\w-]*\*{3,}[\w*-]*", _STRUCK_OUT, "".join(pieces)))

    def from_status(
        self, status: int, headers: httpx2.Headers, body: bytes, *, model: str
    ) -> ProviderError:
        """Return the error for an answer whose status is not 200."""
        if 300 <= status < 400:
            target = self.scrub(headers.get("location", "another place"))
            return ProviderRequestError(
                f"{self._name} answered {status} and points at {target}.",
                remedy="Redirects are not followed: set the base URL to the final address.",
                vendor_status=status,
            )
        decoded = _json_or_none(body)
        said = self.scrub(_message_in(decoded) or _page_text(body))
        wait = _retry_after(headers)
        if wait is None:
            wait = _delay_in(decoded)
        return self._for_status(status, said, wait, model, _word_in(decoded))

    def from_error_object(self, error: Any, *, model: str) -> ProviderError:
        """Return the error for an error object that came inside a stream."""
        inner = error.get("error", error) if isinstance(error, dict) else error
        word = _word_in({"error": inner})
        code = inner.get("code") if isinstance(inner, dict) else None
        status = _STATUS_BY_WORD.get(word)
        if status is None:
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
        said = self.scrub(_message_in({"error": inner}) or "an error without a message")
        return self._for_status(status, said, _delay_in({"error": inner}), model, word, mid=True)

    def from_transport(
        self, error: httpx2.TransportError, *, timeout_seconds: float, started: bool
    ) -> ProviderError:
        """Return the error for a broken or silent connection."""
        name, limit = self._name, f"{timeout_seconds:g} seconds"
        if isinstance(error, httpx2.ConnectTimeout):
            return ProviderTimeoutError(
                f"{name} could not be reached within {limit}.",
                remedy="Check the base URL and the network, or raise timeout_seconds.",
            )
        if isinstance(error, httpx2.PoolTimeout):
            return ProviderTimeoutError(
                f"No connection to {name} became free within {limit}.",
                remedy="Too many requests run at once; lower the concurrency or try again later.",
            )
        if isinstance(error, httpx2.TimeoutException):
            what = "stopped in the middle of its answer" if started else "did not begin to answer"
            return ProviderTimeoutError(
                f"{name} {what}: nothing came for {limit}.",
                remedy="Try again, or raise timeout_seconds of the provider.",
            )
        detail = self.scrub(str(error)) or type(error).__name__
        if isinstance(error, httpx2.ConnectError):
            return ProviderConnectionError(
                f"{name} could not be reached: {detail}.",
                remedy="Check that the base URL is right and that the server is running.",
            )
        if isinstance(error, httpx2.LocalProtocolError):
            return ProviderRequestError(
                f"The request to {name} cannot be sent: a header is not valid.",
                remedy="Check the key and the headers of the provider for line breaks.",
            )
        if started:
            return self.cut(detail)
        return ProviderConnectionError(
            f"{name} closed the connection without an answer: {detail}.",
            remedy="Try again; if it stays so, check the server's own log.",
        )

    def cut(self, detail: str = "the stream ended before its finish") -> ProviderConnectionError:
        return ProviderConnectionError(
            f"{self._name} was cut off in the middle of its answer: {detail}.",
            remedy="Try again; the incomplete answer was not used.",
        )

    def protocol(self, what: str, excerpt: bytes | str = "") -> ProviderProtocolError:
        """Return the error for an answer that is not what the protocol says."""
        if isinstance(excerpt, bytes):
            excerpt = excerpt[:_MAX_READ_CHARS].decode("utf-8", "replace")
        shown = self.scrub(excerpt)[:120]
        begin = f" It begins: {shown}" if shown else ""
        return ProviderProtocolError(
            f"{self._name} {what}.{begin}",
            remedy="Check that the base URL and the kind of the provider fit this server.",
        )

    def _for_status(
        self,
        status: int,
        said: str,
        wait: float | None,
        model: str,
        word: str,
        *,
        mid: bool = False,
    ) -> ProviderError:
        where = "in the middle of its answer" if mid else f"with status {status}"
        sentence = f"{self._name} refused {where}: {said or 'no message'}".rstrip(".") + "."
        kind: type[ProviderError] = ProviderRequestError
        remedy = "Change the request or the model's options; sending the same again will not help."
        if status in (401, 403, 407):
            kind = ProviderAuthError
            remedy = "Check that the provider's key is right and may use this model."
        elif status == 402 or word == "insufficient_quota":
            kind = ProviderRateLimitError if status == 429 else ProviderRequestError
            remedy = "The account has no credit left; add some at the vendor, or use another route."
        elif status == 404:
            remedy = f"Check the model name {model!r} and the base URL of the provider."
        elif status == 413 or word == "context_length_exceeded":
            remedy = "The conversation is too long for this model: shorten it or use a larger one."
        elif status == 429:
            kind = ProviderRateLimitError
            when = f"in {wait:g} seconds" if wait is not None else "later"
            remedy = f"Try again {when}, or lower the concurrency of this provider."
        elif status in (408, 504):
            kind, remedy = ProviderTimeoutError, "Try again; the vendor itself ran out of time."
        elif status >= 500 or status in (409, 425):
            kind, remedy = ProviderOverloadedError, "Try again later; the trouble is the vendor's."
        return kind(sentence, remedy=remedy, retry_after_seconds=wait, vendor_status=status)


def _json_or_none(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _message_in(decoded: Any) -> str:
    """Find the sentence in the error shapes vendors and gateways use."""
    if isinstance(decoded, list) and decoded:
        return _message_in(decoded[0])
    if isinstance(decoded, str):
        return decoded
    if not isinstance(decoded, dict):
        return ""
    for key in ("error", "message", "msg", "detail", "errors"):
        if key in decoded and (found := _message_in(decoded[key])):
            return found
    return ""


def _word_in(decoded: Any) -> str:
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    if not isinstance(error, dict):
        return ""
    words = [error.get(key) for key in ("code", "type", "status")]
    texts = [word.lower() for word in words if isinstance(word, str)]
    return next((word for word in texts if word in _STATUS_BY_WORD), texts[0] if texts else "")


def _page_text(body: bytes) -> str:
    text = body[:_MAX_READ_CHARS].decode("utf-8", "replace")
    if "<" not in text:
        return text
    title = re.search(r"<title[^>]{0,200}>([^<]{1,500})", text, re.IGNORECASE)
    return title.group(1) if title else re.sub(r"<[^<>]{0,500}>", " ", text)


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Read Retry-After (RFC 9110: seconds or an HTTP date) or its millisecond twin."""
    if (millis := _number(headers.get("retry-after-ms"))) is not None:
        return millis / 1000
    text = headers.get("retry-after")
    if text is None:
        return None
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment - clock.now()).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _delay_in(decoded: Any) -> float | None:
    """Read Google's RetryInfo, which comes in the body: `{"retryDelay": "12s"}`."""
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay[:-1])
    return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
