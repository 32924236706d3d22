"""Requests as data, and the one way to perform them.

A `Call` describes a request and how to read its answer. A flow is a generator that asks its
driver for effects, a request to send or a time to sleep, and returns a result; retries, waiting
and paging are written here once, and `synchronous` and `asynchronous` only perform the effects.
"""

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from agentry.client.errors import (
    AgentryError,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    RateLimited,
    ServerError,
    UnexpectedReply,
    WaitTimeout,
    from_problem,
)
from agentry.client.records import Page, Run

T = TypeVar("T")

API = "/api/v1"
_SAFE = frozenset({"GET", "HEAD"})
_RETRIED_STATUS = frozenset({429, 502, 503, 504})
_LONGEST_RETRY_SECONDS = 30.0
_STILL_WORKED_ON = "idempotency_key_in_flight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request to the API and how to read its answer.

    `path` may hold `{workspace}`, filled in by the client. With an `idempotency_key` the request
    may be repeated after a failure; without one only safe methods are.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str = ""
    timeout_seconds: float | None = None

    @property
    def is_repeatable(self) -> bool:
        return self.method in _SAFE or bool(self.idempotency_key)

    def raw(self) -> "Call[Any]":
        """The same request, its answer as plain JSON: nothing a newer server says is lost."""
        return replace(self, read=msgspec.json.decode)

    def at(self, cursor: str) -> "Call[T]":
        return replace(self, query={**self.query, "cursor": cursor})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # lower-case names
    content: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


Flow: TypeAlias = Generator[Request | Sleep, Any, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whom we talk to, as whom, and how patient we are."""

    url: str
    token: str = field(default="", repr=False)
    workspace: str = ""
    timeout_seconds: float = 30.0
    max_retries: int = 3
    user_agent: str = "agentry-python"

    def address(self, path: str, query: Mapping[str, str] | None = None) -> str:
        if "{workspace}" in path:
            if not self.workspace:
                raise ConfigurationError(
                    "No workspace is chosen.",
                    remedy="Pass workspace=…, use --workspace, or set AGENTRY_WORKSPACE.",
                )
            path = path.replace("{workspace}", quote(self.workspace, safe=""))
        return self.url + path + (f"?{urlencode(query)}" if query else "")

    def headers(self, **more: str) -> dict[str, str]:
        headers = {"accept": "application/json", "user-agent": self.user_agent, **more}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        return headers

    def request(self, call: Call[Any]) -> Request:
        headers = self.headers()
        content = None
        if call.body is not None:
            content = msgspec.json.encode(call.body)
            headers["content-type"] = "application/json"
        if call.idempotency_key:
            headers["idempotency-key"] = call.idempotency_key
        return Request(
            method=call.method,
            url=self.address(call.path, call.query),
            headers=headers,
            content=content,
            timeout_seconds=call.timeout_seconds or self.timeout_seconds,
        )


def perform(origin: Origin, call: Call[T]) -> Flow[T]:
    """Send a call, again where that is harmless, and read its answer.

    Every attempt carries the same idempotency key, so what makes something makes it once.
    """
    request = origin.request(call)
    attempt = 0
    while True:
        try:
            reply: Reply = yield request
            return read_reply(reply, call.read)
        except (ConnectionFailed, Conflict, RateLimited, ServerError) as error:
            pause = retry_pause(error, attempt)
            if attempt >= origin.max_retries or not call.is_repeatable or pause is None:
                raise
        attempt += 1
        yield Sleep(pause)


def retry_pause(error: AgentryError, attempt: int) -> float | None:
    """Seconds before the next attempt, or None when another attempt is pointless."""
    is_ahead = error.code == _STILL_WORKED_ON  # our own first attempt, whose answer was lost
    if error.status is not None and error.status not in _RETRIED_STATUS and not is_ahead:
        return None
    asked = getattr(error, "retry_after_seconds", None)
    if asked is not None:
        return asked if asked <= _LONGEST_RETRY_SECONDS else None
    return float(min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311


def read_reply(reply: Reply, read: Callable[[bytes], T]) -> T:
    """The answer's content, or the error it stands for."""
    if reply.status >= 300:
        raise problem_of(reply)
    try:
        return read(reply.content)
    except msgspec.MsgspecError as error:
        raise UnexpectedReply(
            f"The answer is not what the contract promises: {error}.",
            remedy="Is this the address of an Agentry server, and of this client's generation?",
            status=reply.status,
        ) from error


def problem_of(reply: Reply) -> AgentryError:
    try:
        problem = msgspec.json.decode(reply.content)
    except msgspec.MsgspecError:
        problem = None
    after = retry_after(reply.headers.get("retry-after", ""))
    if isinstance(problem, dict):
        return from_problem(reply.status, problem, retry_after_seconds=after)
    if reply.status < 400:
        return UnexpectedReply(
            f"The server redirects to {reply.headers.get('location', 'elsewhere')}.",
            remedy="Use that address as the server's URL.",
            status=reply.status,
        )
    return from_problem(reply.status, {}, retry_after_seconds=after)


def retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header: a number or an HTTP date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC)).timestamp() - time.time())
    except ValueError:
        return None


def wait(origin: Origin, call: Call[Run], *, timeout_seconds: float | None) -> Flow[Run]:
    """Ask until the run rests. The pauses grow from a fifth of a second to two seconds."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    pause = 0.2
    while True:
        run = yield from perform(origin, call)
        if run.is_at_rest:
            return run
        if deadline is not None and time.monotonic() + pause > deadline:
            raise WaitTimeout(
                f"Run {run.id} is still {run.state} after {timeout_seconds:g} seconds.",
                remedy="It goes on; wait again or watch it.",
            )
        yield Sleep(pause)
        pause = min(pause * 1.5, 2.0)


def pages(origin: Origin, call: Call[Page[T]]) -> Generator[Flow[Page[T]], Page[T], None]:
    """One flow for each page; the driver performs it and sends the page back."""
    page = yield perform(origin, call)
    while page.next_cursor:
        page = yield perform(origin, call.at(page.next_cursor))
