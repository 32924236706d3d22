"""Files of the console on an ASGI server: read piece by piece while they are sent.

WhiteNoise answers with a file that is read synchronously; an ASGI server would read it whole into
memory first, and warn of it.
"""

from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.http import FileResponse, HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware

_PIECE_BYTES = 64 * 1024


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # publishes no types
    """See the module. Under WSGI it is WhiteNoise as it is."""

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> FileResponse:
        answer: FileResponse = WhiteNoiseMiddleware.serve(static_file, request)
        if hasattr(request, "scope"):
            pieces: Any = _pieces(answer.file_to_stream)
            answer.streaming_content = pieces
        return answer


async def _pieces(file: Any) -> AsyncIterator[bytes]:
    """Read a file to its end; without one there is nothing to send."""
    if file is None:
        return
    read = sync_to_async(file.read)
    while piece := await read(_PIECE_BYTES):
        yield piece
