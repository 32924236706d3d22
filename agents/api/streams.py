"""Answers that go on: a run's events as they happen, and long files read piece by piece."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.http import StreamingHttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from core.errors import UnavailableError
from observability.live.sse import HEADERS, open_stream
from observability.live.viewer import Target


class EventStreamRenderer(JSONRenderer):
    """Lets `Accept: text/event-stream` through; only problems are rendered by it."""

    media_type = "text/event-stream"
    format = "sse"


class LinesRenderer(JSONRenderer):
    """Lets `Accept: application/x-ndjson` through; only problems are rendered by it."""

    media_type = "application/x-ndjson"
    format = "jsonl"


def scope_of(request: Request) -> dict[str, Any]:
    """Return the ASGI scope of the request.

    Raises:
        UnavailableError: the server is not an ASGI server, so nothing can be streamed.
    """
    scope: dict[str, Any] | None = getattr(request._request, "scope", None)
    if scope is None:
        raise UnavailableError(
            "This server cannot stream: it does not speak ASGI.",
            remedy="Ask for the events as pages, or run the site under an ASGI server.",
        )
    query = str(request._request.META.get("QUERY_STRING", ""))
    return {**scope, "query_string": query.encode("latin-1", "replace")}


def event_stream(request: Request, target: Target, *, query: bytes | None = None) -> Any:
    """Answer with the events of `target`, from the cursor the request names.

    `query` takes the place of the request's own query. The rights are asked for again by the
    stream itself, for as long as it lasts.
    """
    scope = scope_of(request)
    if query is not None:
        scope = {**scope, "query_string": query}
    body = async_to_sync(open_stream)(scope, target)
    return StreamingHttpResponse(body, headers=HEADERS)


def lines(request: Request, content: Iterator[bytes], *, filename: str) -> StreamingHttpResponse:
    """Answer with lines that are read as they are sent."""
    body: Any = content
    if getattr(request._request, "scope", None) is not None:
        body = _pieces(content)
    return StreamingHttpResponse(
        body,
        content_type=LinesRenderer.media_type,
        headers={"Content-Disposition": f'attachment; filename="{filename}"'},
    )


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await sync_to_async(_some)(content):
        yield piece


def _some(content: Iterator[bytes]) -> bytes:
    """Take lines until there are enough to be worth sending."""
    taken: list[bytes] = []
    size_bytes = 0
    for line in content:
        taken.append(line)
        size_bytes += len(line)
        if size_bytes > 64 * 1024:
            break
    return b"".join(taken)
