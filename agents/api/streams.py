"""Answers that go on: a run's events as they happen."""

from typing import Any

from asgiref.sync import async_to_sync
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
