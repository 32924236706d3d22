"""Clients that lose their connection on purpose and come back with their cursor."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_SECONDS = 30.0


async def ws_frames(url: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yield frames until the server closes; then raise what the library raises."""
    async with connect(url, compression=None, ping_interval=None) as socket:
        while True:
            async with asyncio.timeout(PATIENCE_SECONDS):
                yield json.loads(await socket.recv())


async def events_until_live(frames: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Collect events until the viewer has been sent all that was there."""
    seen: list[dict[str, Any]] = []
    async for frame in frames:
        if frame.get("is_live"):
            break
        seen += frame.get("events", [])
    return seen


async def events_taken(frames: AsyncIterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Collect at least this many events."""
    seen: list[dict[str, Any]] = []
    async for frame in frames:
        seen += frame.get("events", [])
        if len(seen) >= count:
            break
    return seen


async def ws_events_cut(url: str, *, total: int, cuts: int, seed: int) -> list[dict[str, Any]]:
    """Collect `total` events while the connection is torn `cuts` times at random places."""
    pick = random.Random(seed)
    seen: list[dict[str, Any]] = []
    cursor = "0"
    for cut in range(cuts + 1):
        goal = total if cut == cuts else min(total, len(seen) + pick.randint(0, 2 * total // cuts))
        socket = await connect(f"{url}&after={cursor}", compression=None, ping_interval=None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(seen) < goal:
                frame = json.loads(await socket.recv())
                if frame["type"] == "events":
                    seen += frame["events"]
                    cursor = frame["cursor"]
        tear(socket)
    return seen


def tear(socket: ClientConnection) -> None:
    """End the connection without a word, as a lost network does."""
    socket.transport.abort()


async def sse_events(
    url: str, *, headers: dict[str, str] | None = None
) -> AsyncGenerator[dict[str, str], None]:
    """Yield the fields of each server-sent event; comments come as {"comment": …}."""
    async with (
        httpx2.AsyncClient(timeout=PATIENCE_SECONDS) as client,
        client.stream("GET", url, headers=headers or {}) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name or "comment"] = value or line
            elif fields:
                yield fields
                fields = {}


async def sse_events_cut(url: str, *, total: int, cuts: int, seed: int) -> list[dict[str, Any]]:
    """Like `ws_events_cut`, resuming with Last-Event-ID; reads to `event: end` at last."""
    pick = random.Random(seed)
    seen: list[dict[str, Any]] = []
    cursor = ""
    for cut in range(cuts + 1):
        is_last = cut == cuts
        goal = min(total, len(seen) + pick.randint(0, 2 * total // cuts))
        stream = sse_events(url, headers={"Last-Event-ID": cursor} if cursor else {})
        async with aclosing(stream):
            async for fields in stream:
                if fields.get("event") == "end":
                    break
                if "id" in fields:
                    cursor = fields["id"]
                    seen.append(json.loads(fields["data"]))
                if len(seen) >= goal and not is_last:
                    break
    return seen


def sequences(events: Iterable[dict[str, Any]]) -> list[int]:
    return [event["sequence"] for event in events]


async def close_code(url: str) -> tuple[int, list[dict[str, Any]]]:
    """Return how the server closed the connection, and every frame before."""
    async with connect(url, compression=None, ping_interval=None) as socket:
        return await closed_by_server(socket)


async def closed_by_server(socket: ClientConnection) -> tuple[int, list[dict[str, Any]]]:
    """Read to the end of the connection; return its close code and the frames before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        frames = [json.loads(text) async for text in Texts(socket)]
    if socket.close_code is None or socket.close_code == 1006:
        raise AssertionError("The connection broke without a close frame.")
    return socket.close_code, frames


class Texts:
    """The messages of a connection until it closes, with whatever code."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    def __aiter__(self) -> "Texts":
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None
