"""The live routes as an ASGI application, and a few addresses to steer it from a test.

Import only after Django is set up.
"""

import json
import os
import threading
from typing import Any
from urllib.parse import parse_qsl
from uuid import NAMESPACE_URL, UUID, uuid5

from channels.routing import URLRouter

from core.errors import NotAuthenticatedError
from governance.contracts import Actor, Perm
from observability import live
from observability.live import sse
from observability.live.viewer import Scope, Target
from observability.live.websocket import socket_routes
from tests.integration.observability.kit import Order, workspace_id, write


class TableGate:
    """Knows users by `?user=`; a user that was removed is no longer signed in."""

    def __init__(self) -> None:
        self.roles = {
            "operator": {"run.view", "run.payload"},
            "viewer": {"run.view"},
            "nobody": set[str](),
        }

    async def authenticate(self, scope: Scope) -> Actor:
        query = dict(parse_qsl(scope["query_string"].decode()))
        name = query.get("user", "")
        if name not in self.roles:
            raise NotAuthenticatedError("No valid credential.", remedy="Sign in.")
        return Actor(user_id=uuid5(NAMESPACE_URL, name), username=name)

    async def may(self, actor: Actor, perm: Perm, workspace: UUID) -> bool:
        held = self.roles.get(actor.username, set())
        return perm.value in held and workspace == workspace_id("w")

    async def workspace_named(self, name: str) -> UUID | None:
        return workspace_id(name)


class App:
    """`/ws/…` as in production, `/runs/<id>` and `/workspaces/<name>` as event streams."""

    def __init__(self) -> None:
        self.gate = TableGate()
        self.sockets: Any = URLRouter(socket_routes(gate=self.gate))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await live.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        _, kind, *rest = scope["path"].split("/")
        if kind in {"runs", "workspaces"}:
            target = Target(run_id=UUID(rest[0])) if kind == "runs" else Target(workspace=rest[0])
            await sse.serve(scope, receive, send, target=target, gate=self.gate)
            return
        answer = self._control(kind, dict(parse_qsl(scope["query_string"].decode())))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _control(self, kind: str, query: dict[str, str]) -> object:
        if kind == "write":
            order = Order.parse(query["order"])
            threading.Thread(target=write, args=(order,), daemon=True).start()
        elif kind == "rights":
            self.gate.roles[query["user"]] = set(query.get("perms", "").split())
        elif kind == "remove":
            self.gate.roles.pop(query["user"], None)
        elif kind == "stats":
            usage = os.times()
            return {
                "subscriptions": live.hub().subscription_count,
                "cpu_seconds": usage.user + usage.system,
            }
        return {}
