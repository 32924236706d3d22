"""Admission to Django: so many requests at once, so many waiting, the rest is told to come back.

Django works on each request in a thread of its own, with a database connection of its own. Without
a bound a burst of a thousand requests is a thousand threads that want a thousand connections, and
nobody is served. Waiting is bounded in number and in time: when each request waits for a database
that is away, a long queue would be a long silence. And nobody may keep one of the few by being
slow: the body is here before a request is let in, and an answer that is complete is sent after its
place was given on.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from core.api.bodies import read_body, refuse_declared
from core.api.parsers import max_body_bytes
from core.api.problems import problem_headers, problem_json, problem_of
from core.errors import DomainError, UnavailableError

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_WAITING = 2_000
WAITING_SECONDS = 30.0
MAX_HELD_BYTES = 64 * 1024 * 1024
SEND_SECONDS = 30.0
_EVENTS = b"text/event-stream"
_LINES = b"application/x-ndjson"


class Admission:
    """Wraps an ASGI application. An answer that streams events gives its slot back as it begins."""

    def __init__(self, application: Application, *, slots: int) -> None:
        self._application = application
        self._slots = asyncio.Semaphore(slots)
        self._waiting = 0
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held = 0

        def took(size_bytes: int) -> None:
            nonlocal held
            held += size_bytes
            self._held_bytes += size_bytes
            if self._held_bytes > MAX_HELD_BYTES:
                raise _full()

        try:
            limit = max_body_bytes()
            refuse_declared(scope["headers"], limit)
            body = await read_body(receive, limit_bytes=limit, took=took)
            if body is not None:
                await self._admitted(scope, _Replay(body, receive), send)
        except DomainError as error:
            await _refuse(scope, send, error)
        finally:
            self._held_bytes -= held

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._waiting >= MAX_WAITING:
            raise _full()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAITING_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise _full() from None
        finally:
            self._waiting -= 1
        answer = _Answer(send, self._slots.release)
        try:
            await self._application(scope, receive, answer.take)
        finally:
            answer.release()
        await answer.flush()


class _Replay:
    """Gives the body that was read already, then whatever else the client has to say."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Answer:
    """What Django sends. Kept until its slot is free, unless it is made while it is sent."""

    def __init__(self, send: Send, release: Callable[[], None]) -> None:
        self._send = send
        self._release: Callable[[], None] | None = release
        self._kept: list[Message] = []
        self._passes = False

    def release(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            media_type = _media_type(message)
            if media_type == _EVENTS:
                self.release()
            self._passes = media_type in {_EVENTS, _LINES}
        if self._passes:
            await self._sent(message)
        else:
            self._kept.append(message)

    async def flush(self) -> None:
        for message in self._kept:
            await self._sent(message)

    async def _sent(self, message: Message) -> None:
        # Whoever does not take what was asked for loses the connection, not others their turn.
        async with asyncio.timeout(SEND_SECONDS):
            await self._send(message)


def _media_type(message: Message) -> bytes:
    for name, value in message.get("headers", ()):
        if name.lower() == b"content-type":
            return bytes(value).split(b";", 1)[0].strip().lower()
    return b""


def _full() -> UnavailableError:
    return UnavailableError(
        "The server has more requests than it can queue.", remedy="Try again in a few seconds."
    )


async def _refuse(scope: Scope, send: Send, error: DomainError) -> None:
    body = problem_json(problem_of(error, instance=scope.get("path", "")))
    headers = [
        (name.lower().encode(), value.encode()) for name, value in problem_headers(error).items()
    ]
    headers += [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
