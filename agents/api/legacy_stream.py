"""A run as the earlier tool streamed it: one trace line of its format per event."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from agents.api.streams import scope_of
from core import clock
from governance.guard.consumers import AccessGate
from observability import live
from observability.contracts import Delta
from observability.legacy_trace import LegacyLine, LegacyWriter, token_line
from observability.live.frames import DeltaFrame, EventsFrame
from observability.live.sse import HEADERS
from observability.live.subscription import ViewClosedError
from observability.live.viewer import Target, Viewer


def legacy_stream(request: Request, run_id: UUID) -> StreamingHttpResponse:
    """Answer with the lines of a run from its beginning to its end."""
    body = async_to_sync(_open)(scope_of(request), run_id)
    return StreamingHttpResponse(body, headers=HEADERS)


async def _open(scope: dict[str, Any], run_id: UUID) -> "_Lines":
    viewer = await Viewer.open(live.hub(), AccessGate(), scope, Target(run_id=run_id), "0")
    return _Lines(viewer)


class _Lines:
    """The body of one answer; `close` may be called from any thread."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed, and the view with it
            self._loop.call_soon_threadsafe(self._viewer.close)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        writer = LegacyWriter()
        try:
            while True:
                frame = await self._viewer.next()
                for line in _lines_of(frame, writer):
                    yield self._encoded(line)
                if isinstance(frame, EventsFrame) and any(e.is_end for e in frame.events):
                    return
        except ViewClosedError:
            return  # the client was too slow, or may no longer watch
        finally:
            self._viewer.close()

    def _encoded(self, line: LegacyLine) -> bytes:
        if not self._viewer.is_payload_visible:
            line = msgspec.structs.replace(line, data=None)
        return b"data: " + msgspec.json.encode(line) + b"\n\n"


def _lines_of(frame: Any, writer: LegacyWriter) -> list[LegacyLine]:
    if isinstance(frame, DeltaFrame):
        delta = Delta(
            workspace_id=frame.run_id,  # not told by the line
            run_id=frame.run_id,
            after_sequence=frame.after_sequence,
            text=frame.delta,
            channel=frame.channel,
        )
        return [token_line(delta, at=clock.now())] if frame.channel == "text" else []
    if isinstance(frame, EventsFrame):
        return [line for event in frame.events for line in writer.lines(event)]
    return []
