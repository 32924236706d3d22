"""The server's HTTP protocol: uvicorn's, with a short cut for accepting plain `invoke` calls.

A thousand simultaneous calls below 200 ms on two cores leave 0.2 ms a call; an ASGI cycle alone
costs that much. So a request the lane can accept without waiting for anything but its commit is
answered from the connection itself: no task, no middleware, no message passing. Whatever is not
plain (and every failure) takes the way through ASGI, on the same connection, with the same answer.
"""

import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from agentry_site.telemetry import invoke_observed
from agents.lane.answers import refusal
from agents.lane.lane import InvokeLane
from agents.lane.quick import QuickLane
from core import tracing
from core.errors import UnavailableError

# uvicorn stops reading a body here until the application asks for more.
MAX_QUICK_BODY_BYTES = 60_000
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: "


class LeanProtocol(HttpToolsProtocol):
    """One connection. Order of answers, keep-alive and pipelining stay uvicorn's."""

    lane: QuickLane | None = None  # set by the server process before it listens

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: tuple[RequestResponseCycle, Any] | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.more_body and self._may_be_quick(cycle):
            self._held = (cycle, app)  # decided when the body is here
            return
        super()._start_asgi_task(cycle, app)

    def _may_be_quick(self, cycle: RequestResponseCycle) -> bool:
        scope: Any = cycle.scope
        if self.lane is None or not InvokeLane.takes(scope):
            return False
        if cycle.waiting_for_100_continue:
            return False
        for name, value in cycle.scope["headers"]:
            if name == b"content-length":
                return len(value) < 6 and int(value) <= MAX_QUICK_BODY_BYTES
        return False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._held is None or self._held[0] is not self.cycle:
            return
        (cycle, app), self._held = self._held, None
        began = time.perf_counter()

        def answer(body: bytes, location: bytes) -> None:
            self._answer(cycle, body, location)
            invoke_observed(time.perf_counter() - began)

        def decline() -> None:
            if self.transport.is_closing():
                return
            super(LeanProtocol, self)._start_asgi_task(cycle, app)

        def fail(error: UnavailableError) -> None:
            refusing: Any = refusal(error)
            if not self.transport.is_closing():
                super(LeanProtocol, self)._start_asgi_task(cycle, refusing)

        assert self.lane is not None
        # A request that is to be traced takes the way on which its span is made.
        if tracing.is_on() or not self.lane.accept(
            cycle.scope["path"], cycle.scope["headers"], bytes(cycle.body), answer, decline, fail
        ):
            decline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = None
        super().connection_lost(exc)

    def _answer(self, cycle: RequestResponseCycle, body: bytes, location: bytes) -> None:
        if cycle.disconnected or self.transport.is_closing():
            return
        parts = [_ACCEPTED, str(len(body)).encode(), b"\r\nlocation: ", location]
        for name, value in cycle.default_headers:
            parts += [b"\r\n", name, b": ", value]
        if not cycle.keep_alive:
            parts.append(b"\r\nconnection: close")
        parts += [b"\r\n\r\n", body]
        self.transport.write(b"".join(parts))
        if self.access_log:
            self.access_logger.info(
                '%s - "%s %s HTTP/%s" %d',
                ":".join(str(part) for part in self.client or ()),
                cycle.scope["method"],
                cycle.scope["path"],
                cycle.scope["http_version"],
                202,
            )
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
