"""Answers that are read piece by piece while they are sent, of JSON lines mostly."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

_PIECE_BYTES = 64 * 1024


class LinesRenderer(JSONRenderer):
    """Lets `Accept: application/x-ndjson` through; only problems are rendered by it."""

    media_type = "application/x-ndjson"
    format = "jsonl"


def lines(request: Request, content: Iterator[bytes], *, filename: str) -> StreamingHttpResponse:
    """Answer with lines that are read as they are sent."""
    return streamed(
        request._request, content, content_type=LinesRenderer.media_type, filename=filename
    )


def streamed(
    request: HttpRequest, content: Iterator[bytes], *, content_type: str, filename: str
) -> StreamingHttpResponse:
    """Answer with a file that is read as it is sent, on a server of either kind."""
    body: Any = content
    if getattr(request, "scope", None) is not None:
        body = _pieces(content)
    return StreamingHttpResponse(
        body,
        content_type=content_type,
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
        if size_bytes > _PIECE_BYTES:
            break
    return b"".join(taken)
