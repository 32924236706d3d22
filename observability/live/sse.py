"""Live views as server-sent events, for any HTTP client.

The same frames as over WebSocket: `id:` is the cursor, `event:` the kind, `data:` the event.
`Last-Event-ID` (which browsers send when they reconnect) wins over `?after=`. A run's stream ends
with `event: end` when the run has: nothing more will come, do not reconnect.
`serve` is a bare ASGI answer; `open_stream` gives the body to a Django view.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qs

from core.api.problems import CONTENT_TYPE, problem_headers, problem_json, problem_of
from core.errors import DomainError
from governance.guard.consumers import AccessGate
from observability import live
from observability.live.frames import EventsFrame, HeadFrame, error_frame
from observability.live.subscription import ViewClosedError
from observability.live.viewer import Gate, Scope, Target, Viewer

RETRY_MILLISECONDS = 2_000
SEND_SECONDS = 30.0
_GOING_AWAY = 1001

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class EventStream:
    """The body of one answer. Ends the view when it is exhausted or closed, read or not.

    `close` may be called from any thread: Django closes a response outside the event loop.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._loop = asyncio.get_running_loop()
        self._chunks = _chunks(viewer)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed, and the view with it
            self._loop.call_soon_threadsafe(self._viewer.close)


async def open_stream(scope: Scope, target: Target, *, gate: Gate | None = None) -> EventStream:
    """Check the request and return the body of the answer (to be sent with `HEADERS`).

    Raises a DomainError before anything is sent.
    """
    return EventStream(
        await Viewer.open(live.hub(), gate or AccessGate(), scope, target, resume_cursor(scope))
    )


async def serve(
    scope: Scope, receive: _Receive, send: _Send, *, target: Target, gate: Gate | None = None
) -> None:
    """Answer one GET request with a stream, or with a problem document."""
    try:
        body = await open_stream(scope, target, gate=gate)
    except DomainError as error:
        await _answer_problem(scope, send, error)
        return
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    writer = asyncio.create_task(_write(body, send), name="live-sse")
    gone = asyncio.create_task(_until_disconnect(receive), name="live-sse-disconnect")
    try:
        await asyncio.wait({writer, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writer, gone):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError, OSError):
            await writer  # a viewer that is gone or too slow resumes with its cursor
        body.close()


def resume_cursor(scope: Scope) -> str | None:
    """Return the cursor a request wants to go on from, if it names one."""
    for name, value in scope.get("headers", ()):
        if name.lower() == b"last-event-id" and value:
            return str(value.decode("latin-1"))
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    values = query.get("after")
    return values[-1] if values else None


async def _chunks(viewer: Viewer) -> AsyncIterator[bytes]:
    has_ended = False
    try:
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        while True:
            frame = await viewer.next()
            chunk = frame.sse(is_payload_visible=viewer.is_payload_visible)
            if chunk is not None:
                yield chunk
            if viewer.topic.run_id is None:
                continue
            if isinstance(frame, EventsFrame):
                has_ended = has_ended or any(event.is_end for event in frame.events)
            elif isinstance(frame, HeadFrame) and frame.is_live and not has_ended:
                # Nothing may have been replayed: the client had seen it all.
                has_ended = await viewer.is_run_ended()
            if has_ended and viewer.subscription.is_drained:
                yield b"event: end\ndata: {}\n\n"
                return
    except ViewClosedError as end:
        if end.code != _GOING_AWAY:
            yield error_frame("stream_closed", end.reason).sse(is_payload_visible=False)
    finally:
        viewer.close()


async def _write(body: EventStream, send: _Send) -> None:
    async for chunk in body:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_disconnect(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer_problem(scope: Scope, send: _Send, error: DomainError) -> None:
    document = problem_json(problem_of(error, instance=scope.get("path", "")))
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(document)),
        **problem_headers(error),
    }
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": document, "more_body": False})
