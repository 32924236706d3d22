"""Live delivery under load: one writer, one server, many viewers of one workspace.

    python -m tests.bench.live [--viewers 100] [--rate 1000] [--seconds 5] [--slow 0]

Writer, server and viewers are three processes on one machine. Without DATABASE_URL and REDIS_URL a
private PostgreSQL and Redis are started. Latency is from the moment an event is handed to the
writer's transaction to the moment a viewer has decoded it.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from core.ids import new_id
from tests.integration.observability.kit import LiveServer, serving
from tests.services import PostgresServer, RedisServer

RUNS = 50
BATCH = 10
PATIENCE_SECONDS = 30.0


class _Payload(msgspec.Struct):
    sent: float


class _Event(msgspec.Struct):
    run_id: str
    sequence: int
    payload: _Payload


class _Frame(msgspec.Struct):
    type: str
    events: list[_Event] = []


_decode = msgspec.json.Decoder(_Frame).decode


class Viewer(asyncio.Protocol):
    """A WebSocket client that costs little: server frames in, figures kept."""

    def __init__(self, port: int, path: str) -> None:
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            f"{base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        )
        self._buffer = bytearray()
        self._is_open = False
        self.transport: asyncio.Transport | None = None
        self.is_live = asyncio.Event()
        self.frames = 0
        self.received = 0
        self.disordered = 0
        self.latencies: list[float] = []
        self.heads: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._buffer.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(self._buffer[:end].decode())
            self._is_open = True
            del self._buffer[: end + 4]
        while (text := self._next_text()) is not None:
            self._take(text)

    def _next_text(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start])
        if len(buffer) < start + length:
            return None
        text = bytes(buffer[start : start + length])
        del buffer[: start + length]
        return text

    def _take(self, text: bytes) -> None:
        now = time.time()
        frame = _decode(text)
        if frame.type == "head":
            self.is_live.set()
        self.frames += bool(frame.events)
        for event in frame.events:
            if event.sequence != self.heads.get(event.run_id, 0) + 1:
                self.disordered += 1
            self.heads[event.run_id] = event.sequence
            self.received += 1
            self.latencies.append(now - event.payload.sent)


def run_bench(
    *,
    database_url: str,
    redis_url: str,
    viewers: int = 100,
    rate: float = 1000,
    seconds: float = 5,
    slow: int = 0,
) -> dict[str, Any]:
    """Measure once and return the figures.

    `slow` viewers more connect and never read. `lost` and `disordered` count over all viewers and
    must be 0; latencies are milliseconds.
    """
    with serving(database_url=database_url, redis_url=redis_url) as server:
        return asyncio.run(_measure(server, viewers, rate, seconds, slow))


async def _measure(
    server: LiveServer, viewers: int, rate: float, seconds: float, slow: int
) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    path = "/ws/workspaces/w?user=operator&after=0"
    crowd = [
        (await loop.create_connection(lambda: Viewer(server.port, path), "127.0.0.1", server.port))
        for _ in range(viewers + slow)
    ]
    members = [viewer for _, viewer in crowd[:viewers]]
    await asyncio.gather(*(viewer.is_live.wait() for _, viewer in crowd))
    for transport, _ in crowd[viewers:]:
        transport.pause_reading()
    count = int(rate * seconds)
    order = {
        "workspace": "w",
        "runs": [str(new_id()) for _ in range(RUNS)],
        "count": count,
        "rate": rate,
        "batch": BATCH,
    }
    before = await asyncio.to_thread(server.control, "stats")
    began = time.monotonic()
    writer = server.writing(order)
    status = await asyncio.to_thread(writer.wait)
    wrote_seconds = time.monotonic() - began
    while any(viewer.received < count for viewer in members):
        if time.monotonic() - began > wrote_seconds + PATIENCE_SECONDS:
            break
        await asyncio.sleep(0.05)
    after = await asyncio.to_thread(server.control, "stats")
    for transport, _ in crowd:
        transport.abort()
    if status:
        raise RuntimeError(f"The writer ended with status {status}.")
    return _figures(members, count, rate, after["cpu_seconds"] - before["cpu_seconds"])


def _figures(members: list[Viewer], count: int, rate: float, cpu_seconds: float) -> dict[str, Any]:
    latencies = sorted(item for viewer in members for item in viewer.latencies)
    cuts = statistics.quantiles(latencies, n=100)
    delivered = sum(viewer.received for viewer in members)
    return {
        "viewers": len(members),
        "events": count,
        "rate_per_second": rate,
        "delivered": delivered,
        "lost": count * len(members) - delivered,
        "disordered": sum(viewer.disordered for viewer in members),
        "p50_ms": round(cuts[49] * 1000, 1),
        "p95_ms": round(cuts[94] * 1000, 1),
        "p99_ms": round(cuts[98] * 1000, 1),
        "max_ms": round(latencies[-1] * 1000, 1),
        "events_per_frame": round(delivered / sum(viewer.frames for viewer in members), 1),
        "server_cpu_us_per_delivery": round(cpu_seconds / delivered * 1e6, 2),
    }


@contextmanager
def services() -> Iterator[tuple[str, str]]:
    """Yield the URLs of a database and a Redis: the environment's, else private ones."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o711)
        database_url = os.environ.get("DATABASE_URL", "")
        redis_url = os.environ.get("REDIS_URL", "")
        if not database_url:
            postgres = PostgresServer(folder / "postgres")
            postgres.start()
            stack.callback(postgres.stop)
            database_url = postgres.create_database("live")
        if not redis_url:
            redis = RedisServer(folder / "redis")
            redis.start()
            stack.callback(redis.stop)
            redis_url = redis.url()
        yield database_url, redis_url


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--slow", type=int, default=0)
    chosen = vars(parser.parse_args())
    with services() as (database_url, redis_url):
        figures = run_bench(database_url=database_url, redis_url=redis_url, **chosen)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
