"""The lane as an ASGI application, called without a server around it."""

import json
from dataclasses import dataclass
from typing import Any

from agents.lane.lane import InvokeLane

PATH = "/api/v1/workspaces/acme/agents/helper/invoke"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


async def invoke(
    lane: InvokeLane, secret: str, body: Any, *, path: str = PATH, user_agent: str = ""
) -> Answer:
    """Send one request; bytes go as they are, everything else as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages: list[Any] = []
    received = [{"type": "http.request", "body": sent, "more_body": False}]

    async def receive() -> Any:
        return received.pop() if received else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "client": ("203.0.113.7", 4321),
        "headers": [
            (b"authorization", f"Bearer {secret}".encode()),
            (b"content-type", b"application/json"),
            (b"user-agent", user_agent.encode()),
        ],
    }
    assert lane.takes(scope)
    await lane(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in messages[1:])
    return Answer(
        status=messages[0]["status"],
        headers={name.decode(): value.decode() for name, value in messages[0]["headers"]},
        body=json.loads(content),
    )
