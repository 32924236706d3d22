"""Answers of JSON lines that are read piece by piece while they are sent."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

_PIECE_BYTES = 64 * 1024


class LinesRenderer(JSONRenderer):
    """Lets `Accept: application/x-ndjson` through; only problems are rendered by it."""

    media_type = "application/x-ndjson"
    format = "jsonl"


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
        if size_bytes > _PIECE_BYTES:
            break
    return b"".join(taken)
