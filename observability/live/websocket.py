"""Live views over WebSocket: `/ws/runs/<id>` and `/ws/workspaces/<name>`.

Frames to the client: `head` (where the stream ends; `is_live` once all of it was sent), `events`
(with the cursor to resume from), `delta`, `heartbeat`, `pong`, `error`. From the client: `ping`.
A connection is accepted before it is checked, so that the close code reaches the client: 4400 bad
request, 4401 not signed in, 4403 not allowed, 4408 too slow, 4429 too many viewers, 1001 server
stopping, 1009 message too large, 1013 try again later.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path

from core.errors import DomainError
from governance.guard.consumers import AccessGate, accepted_subprotocol
from observability import live
from observability.live.frames import PONG, Frame, error_frame
from observability.live.subscription import ViewClosedError
from observability.live.viewer import (
    CLOSE_BAD_REQUEST,
    CLOSE_INTERNAL,
    CLOSE_TOO_SLOW,
    Gate,
    Target,
    Viewer,
    close_code,
)

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 4096
MAX_BAD_MESSAGES = 10
SEND_SECONDS = 30.0
CLOSE_TOO_LARGE = 1009


class _Message(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Message).decode


class LiveConsumer(AsyncWebsocketConsumer):
    """Base of the two views; subclasses say what is followed."""

    # News comes from the hub; a channel a viewer would be waste.
    channel_layer_alias: ClassVar[Any] = None

    def __init__(self, gate: Gate | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._gate: Gate = gate or AccessGate()
        self._viewer: Viewer | None = None
        self._pump: asyncio.Task[None] | None = None
        self._bad_messages = 0
        self._is_closed = False

    def target(self) -> Target:
        raise NotImplementedError

    async def connect(self) -> None:
        await self.accept(subprotocol=accepted_subprotocol(self.scope))
        try:
            self._viewer = await Viewer.open(
                live.hub(), self._gate, self.scope, self.target(), _after(self.scope)
            )
        except DomainError as error:
            await self._refuse(close_code(error), error.code, str(error))
            return
        self._pump = asyncio.create_task(self._send_forever(self._viewer), name="live-socket")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self._is_closed:
            return
        raw = text_data if text_data is not None else bytes_data or b""
        if len(raw) > MAX_MESSAGE_BYTES:
            await self._refuse(
                CLOSE_TOO_LARGE,
                "payload_too_large",
                f"A message may have {MAX_MESSAGE_BYTES} bytes; this socket only takes pings.",
            )
            return
        try:
            kind = _decode(raw).type
        except msgspec.MsgspecError as error:
            await self._complain(f"The message is not an object with a `type`: {error}.")
            return
        if kind == "ping":
            await self._send_frame(PONG)
        else:
            await self._complain(f'Unknown message type {kind[:40]!r}; send {{"type":"ping"}}.')

    async def disconnect(self, code: int) -> None:
        self._is_closed = True
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        if self._viewer is not None:
            self._viewer.close()

    async def _send_forever(self, viewer: Viewer) -> None:
        try:
            while True:
                frame = await viewer.next()
                text = frame.text(is_payload_visible=viewer.is_payload_visible)
                if text is not None:
                    async with asyncio.timeout(SEND_SECONDS):
                        message: Any = {"type": "websocket.send", "text": text}
                        await self.base_send(message)
        except ViewClosedError as end:
            await self._end(end.code, end.reason)
        except TimeoutError:  # before OSError, which it is
            await self._end(CLOSE_TOO_SLOW, "The viewer does not take its frames; resume later.")
        except OSError:
            self._is_closed = True  # the client has gone; it comes back with its cursor
        except Exception:
            log.exception("live.socket_failed", topic=viewer.topic.key)
            await self._end(CLOSE_INTERNAL, "Delivery failed; connect again with your cursor.")
        finally:
            viewer.close()

    async def _complain(self, sentence: str) -> None:
        self._bad_messages += 1
        if self._bad_messages >= MAX_BAD_MESSAGES:
            await self._refuse(CLOSE_BAD_REQUEST, "bad_request", "Too many unusable messages.")
        else:
            await self._send_frame(error_frame("bad_request", sentence))

    async def _refuse(self, code: int, error_code: str, sentence: str) -> None:
        await self._send_frame(error_frame(error_code, sentence))
        await self._end(code, sentence)

    async def _send_frame(self, frame: Frame) -> None:
        text = frame.text(is_payload_visible=False)
        if text is not None and not self._is_closed:
            await self.send(text_data=text)

    async def _end(self, code: int, reason: str) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(RuntimeError, OSError):  # the client has just gone
            await self.close(code=code, reason=reason.encode()[:120].decode(errors="ignore"))


class RunConsumer(LiveConsumer):
    """Follows one run."""

    def target(self) -> Target:
        return Target(run_id=self.scope["url_route"]["kwargs"]["run_id"])


class WorkspaceConsumer(LiveConsumer):
    """Follows every run of one workspace."""

    def target(self) -> Target:
        return Target(workspace=self.scope["url_route"]["kwargs"]["name"])


def socket_routes(gate: Gate | None = None) -> list[Any]:
    """Return the addresses of live views; `gate` stands in for the site's own in tests."""
    # Channels routes sockets with Django's `path`, whose types know views only.
    run: Any = RunConsumer.as_asgi(gate=gate)
    workspace: Any = WorkspaceConsumer.as_asgi(gate=gate)
    return [
        path("ws/runs/<uuid:run_id>", run),
        path("ws/workspaces/<slug:name>", workspace),
    ]


websocket_urlpatterns = socket_routes()


def _after(scope: Mapping[str, Any]) -> str | None:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    values = query.get("after")
    return values[-1] if values else None
