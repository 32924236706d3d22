"""Reading a request's body below Django: bounded in size and in time, before anything is held.

Django reads bodies of any size to the end and waits as long as a client likes; whoever is asked for
a thread or a database connection must not be waiting for that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from core.api.parsers import refuse_oversize
from core.errors import BodyTooSlowError

Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]

BODY_SECONDS = 20.0


def refuse_declared(headers: Iterable[tuple[bytes, bytes]], limit_bytes: int) -> None:
    """Raise PayloadTooLargeError for a body that says it is larger than the limit."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            refuse_oversize(int(value[:20]), limit_bytes)


async def read_body(
    receive: Receive,
    *,
    limit_bytes: int,
    seconds: float = BODY_SECONDS,
    took: Callable[[int], None] = lambda _: None,
) -> bytes | None:
    """Return the whole body, or None when the client went away.

    `took` is told the size of each piece; what it raises ends the reading.

    Raises:
        PayloadTooLargeError: it is larger than the limit.
        BodyTooSlowError: it was not here in time.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                chunk = message.get("body", b"")
                size += len(chunk)
                refuse_oversize(size, limit_bytes)
                took(len(chunk))
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError:
        raise BodyTooSlowError(
            f"The body did not arrive within {seconds:g} seconds.", remedy="Send it again."
        ) from None
