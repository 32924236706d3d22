"""One server process: lifespan, live sockets, the lean way in, and Django for everything else."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from channels.routing import URLRouter
from django.conf import settings

from agentry_site.admission import Admission
from agentry_site.embedded import Embedded
from agentry_site.telemetry import INVOKE_ROUTE, Observed
from agents.lane.lane import InvokeLane
from core.loop_lag import LoopWatch
from observability import live
from observability.live.websocket import websocket_urlpatterns
from observability.services import process_watch_start, process_watch_stop
from observability.telemetry import loop_unwatch, loop_watch, telemetry_start, telemetry_stop

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROBES = frozenset({"/healthz", "/readyz", "/version", "/metrics"})
PROBE_SLOTS = 4


class Site:
    """The site in one process. What its lifespan starts it also stops, in reverse order."""

    def __init__(self, django: Any) -> None:
        self._sockets: Any = URLRouter(websocket_urlpatterns)
        self.lane = InvokeLane()
        self._embedded = Embedded()
        self._invoke = Observed(self.lane, route=INVOKE_ROUTE)
        self._django = Observed(Admission(django, slots=settings.REQUEST_SLOTS))
        # Whether the process is well is asked most when every other slot is taken.
        self._probes = Observed(Admission(django, slots=PROBE_SLOTS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self.lane.takes(scope):
            await self._invoke(scope, receive, send)
        elif scope["path"] in PROBES:
            await self._probes(scope, receive, send)
        else:
            await self._django(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix("/")
        if any(route.pattern.match(path) for route in websocket_urlpatterns):
            await self._sockets(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 4404})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        watch: LoopWatch | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await asyncio.to_thread(telemetry_start, "web")
                    watch = loop_watch(asyncio.get_running_loop())
                    await asyncio.to_thread(self._embedded.start)
                    has_engine = settings.ENGINE_MODE == "embedded"
                    process_watch_start("web and engine" if has_engine else "web")
                except Exception as error:  # reported to the server, which then refuses to start
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(process_watch_stop)
                await live.stop()
                await self.lane.aclose()
                await asyncio.to_thread(self._embedded.stop)
                await asyncio.to_thread(live.close)
                if watch is not None:
                    await asyncio.to_thread(loop_unwatch, watch)
                await asyncio.to_thread(telemetry_stop)
                await send({"type": "lifespan.shutdown.complete"})
                return
