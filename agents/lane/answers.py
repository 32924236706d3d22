"""What the lane sends: the description of a run, or the problem document of a failure."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from uuid import UUID

from agents.lane.pins import Pin
from agents.lane.request import Receive
from core.api.problems import (
    as_domain_error,
    internal_problem,
    problem_headers,
    problem_json,
    problem_of,
)

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")


def location(pin: Pin, run_id: UUID) -> bytes:
    return f"/api/v1/workspaces/{pin.workspace}/runs/{run_id}".encode()


async def send_run(send: Send, status: int, body: bytes, run_id: UUID, pin: Pin) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                _JSON,
                (b"content-length", str(len(body)).encode()),
                (b"location", location(pin, run_id)),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def refusal(error: Exception) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI application that answers with this failure."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send_problem(send, error, scope["path"])

    return application


async def send_problem(send: Send, error: Exception, path: str) -> None:
    known = as_domain_error(error)
    if known is not None:
        document, headers = problem_of(known, instance=path), problem_headers(known)
    else:
        document, headers = internal_problem(error, instance=path), {}
    body = problem_json(document)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw += [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": document["status"], "headers": raw})
    await send({"type": "http.response.body", "body": body})
