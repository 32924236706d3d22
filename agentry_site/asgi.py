"""The ASGI application: lifespan, live sockets, the lean way in, and Django for everything else."""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentry_site.settings.base")

from channels.routing import URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

_django = get_asgi_application()

# These need the applications that the line above loaded.
from agentry_site.admission import Admission
from agentry_site.embedded import Embedded
from agents.lane.lane import InvokeLane
from observability import live
from observability.live.websocket import websocket_urlpatterns

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Site:
    """One server process. What it starts in its lifespan, it stops there, in reverse order."""

    def __init__(self) -> None:
        self._sockets = URLRouter(websocket_urlpatterns)
        self.lane = InvokeLane()
        self._embedded = Embedded()
        self._django = Admission(_django, slots=settings.REQUEST_SLOTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._sockets(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self.lane.takes(scope):
            await self.lane(scope, receive, send)
        else:
            await self._django(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await asyncio.to_thread(self._embedded.start)
                except Exception as error:  # reported to the server, which then refuses to start
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            else:
                await live.stop()
                await self.lane.aclose()
                await asyncio.to_thread(self._embedded.stop)
                await asyncio.to_thread(live.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


application = Site()
