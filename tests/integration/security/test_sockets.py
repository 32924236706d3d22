"""Sockets nobody serves, and messages nobody needs."""

from typing import Any

import pytest

from agentry_site.asgi import application
from agentry_site.serving import server_config


@pytest.mark.parametrize("path", ["/", "/ws/nothing", "/ws/workspaces/a\x00b", "/ws/runs/x"])
async def test_an_unknown_socket_is_closed_before_it_is_accepted(path: str) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b""}
    await application(scope, receive, send)

    assert sent == [{"type": "websocket.close", "code": 4404}]


def test_a_socket_takes_small_messages_only() -> None:
    assert server_config().ws_max_size == 64 * 1024
