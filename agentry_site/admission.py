"""Admission to Django: so many requests at once, so many waiting, the rest is told to come back.

Django works on each request in a thread of its own. Without a bound a burst of a thousand requests
is a thousand threads that want a thousand database connections, and nobody is served.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from core.api.problems import problem_headers, problem_json, problem_of
from core.errors import UnavailableError

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_WAITING = 2_000


class Admission:
    """Wraps an ASGI application. An answer that streams gives its slot back when it begins."""

    def __init__(self, application: Application, *, slots: int) -> None:
        self._application = application
        self._slots = asyncio.Semaphore(slots)
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._waiting >= MAX_WAITING:
            await _refuse(scope, send)
            return
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._slots.release()

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and _streams(message):
                release()
            await send(message)

        try:
            await self._application(scope, receive, watched)
        finally:
            release()


def _streams(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message.get("headers", ())
    )


async def _refuse(scope: Scope, send: Send) -> None:
    error = UnavailableError(
        "The server has more requests than it can queue.", remedy="Try again in a few seconds."
    )
    body = problem_json(problem_of(error, instance=scope.get("path", "")))
    headers = [
        (name.lower().encode(), value.encode()) for name, value in problem_headers(error).items()
    ]
    headers += [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"2"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
