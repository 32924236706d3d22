"""The load generator for `invoke`: many keep-alive connections from one process of its own.

Two shapes of load. A closed loop: every connection sends its next request when the last is
answered, for some seconds, the first of which (the ramp) are not measured. Bursts: every
connection is given one request at the same moment, and the next round begins when all are
answered. Connections are opened first, a few at a time, and never reopened: a lost one is counted.

    python -m tests.bench.load --port 8000 --path /invoke --token agk_… --body '{"input": "hi"}'

Prints one JSON line. `--ids-out FILE` keeps the ids of the accepted runs, one a line, so that
somebody else can look whether they are still there after the server was killed.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import httptools
import uvloop

from tests.bench.durable_steps import BenchError

JSON: TypeAlias = dict[str, Any]

_OPEN_AT_ONCE = 50
_CONNECT_SECONDS = 10.0
_FILES_BESIDES_SOCKETS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send where, how hard and how long; `patience_seconds` bounds every wait."""

    port: int
    request: bytes
    connections: int
    seconds: float
    ramp_seconds: float
    rounds: int
    patience_seconds: float


class Ledger:
    """Everything the connections saw, counted in one place."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost = 0
        self.accepted_bodies: list[bytes] = []
        self.latencies: list[float] = []
        self.latencies_from_begin: list[float] = []
        self.begun_at = 0.0
        self.measured_from = 0.0
        self.send_until = 0.0
        self.unanswered = 0
        self.all_answered = asyncio.Event()

    def begin(self, *, ramp_seconds: float = 0.0, seconds: float = 0.0) -> None:
        """Open a window: requests go on for ramp and seconds, those of the ramp unmeasured."""
        self.latencies, self.latencies_from_begin = [], []
        self.begun_at = time.perf_counter()
        self.measured_from = self.begun_at + ramp_seconds
        self.send_until = self.begun_at + ramp_seconds + seconds
        self.all_answered.clear()

    def settle(self) -> None:
        """One request less is open."""
        self.unanswered -= 1
        if self.unanswered == 0:
            self.all_answered.set()


class Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection with at most one request open."""

    def __init__(self, ledger: Ledger, request: bytes) -> None:
        self._ledger = ledger
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._sent_at = 0.0
        self._open = False
        self._transport: asyncio.Transport | None = None

    @property
    def alive(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but class.
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Write the request; the connection must be alive and idle."""
        assert self._transport is not None, "a lost connection sends nothing"
        self._open = True
        self._ledger.unanswered += 1
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        now, ledger, status = time.perf_counter(), self._ledger, self._parser.get_status_code()
        ledger.statuses[status] += 1
        if 200 <= status < 300:
            ledger.accepted_bodies.append(b"".join(self._body))
        self._body = []
        if self._sent_at >= ledger.measured_from and (
            now <= ledger.send_until or ledger.send_until == ledger.begun_at
        ):
            ledger.latencies.append(now - self._sent_at)
            ledger.latencies_from_begin.append(now - ledger.begun_at)
        self._open = False
        if now < ledger.send_until and self._transport and not self._transport.is_closing():
            self.send()
        ledger.settle()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._ledger.lost += 1
        if self._open:
            self._open = False
            self._ledger.settle()


async def generate(load: Load) -> tuple[JSON, list[str]]:
    """Run the closed loop, then the bursts. Returns the figures and the accepted run ids.

    Raises BenchError when the server cannot be reached or leaves requests unanswered for
    `patience_seconds`.
    """
    ledger = Ledger()
    connections = await _connect(load, ledger)
    gc.collect()
    gc.freeze()
    cpu_before = time.process_time()
    figures: JSON = {"connections": load.connections}
    if load.seconds > 0:
        figures["closed"] = await _closed_loop(load, ledger, connections)
    if load.rounds > 0:
        figures["bursts"] = await _bursts(load, ledger, connections)
    if not ledger.statuses:
        raise BenchError(f"port {load.port} took {load.connections} connections and no request")
    figures |= {
        "answers": ledger.statuses.total(),
        "statuses": {str(status): count for status, count in sorted(ledger.statuses.items())},
        "connections_lost": ledger.lost,
        "client_cpu_seconds": round(time.process_time() - cpu_before, 3),
    }
    ids = [_run_id(body) for body in ledger.accepted_bodies]
    figures["ids"] = len(ids)
    figures["ids_distinct"] = len(set(ids))
    return figures, ids


async def _connect(load: Load, ledger: Ledger) -> list[Connection]:
    loop = asyncio.get_running_loop()
    connections: list[Connection] = []

    async def connect() -> None:
        _, connection = await loop.create_connection(
            lambda: Connection(ledger, load.request), "127.0.0.1", load.port
        )
        connections.append(connection)

    try:
        while len(connections) < load.connections:
            missing = min(_OPEN_AT_ONCE, load.connections - len(connections))
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.gather(*(connect() for _ in range(missing)))
    except OSError as error:  # TimeoutError is one
        raise BenchError(
            f"port {load.port} took {len(connections)} of {load.connections} connections: {error!r}"
        ) from error
    return connections


async def _closed_loop(load: Load, ledger: Ledger, connections: list[Connection]) -> JSON:
    ledger.begin(ramp_seconds=load.ramp_seconds, seconds=load.seconds)
    await _send_on_all(load, ledger, connections)
    return {
        "seconds": load.seconds,
        "requests_per_second": round(len(ledger.latencies) / load.seconds, 1),
        **_percentiles(ledger.latencies),
    }


async def _bursts(load: Load, ledger: Ledger, connections: list[Connection]) -> JSON:
    rounds = []
    for _ in range(load.rounds):
        ledger.begin()
        await _send_on_all(load, ledger, connections)
        from_begin = _percentiles(ledger.latencies_from_begin)
        rounds.append(_percentiles(ledger.latencies) | {"p95_from_begin_ms": from_begin["p95_ms"]})
    medians = {
        name: _median([each[name] for each in rounds])
        for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms", "p95_from_begin_ms")
    }
    return medians | {"rounds": rounds}


async def _send_on_all(load: Load, ledger: Ledger, connections: list[Connection]) -> None:
    alive = [connection for connection in connections if connection.alive]
    for connection in alive:
        connection.send()
    if not alive:
        return
    bound = load.ramp_seconds + load.seconds + load.patience_seconds
    try:
        async with asyncio.timeout(bound):
            await ledger.all_answered.wait()
    except TimeoutError as error:
        raise BenchError(
            f"{ledger.unanswered} of {len(alive)} requests had no answer after {bound:g} s"
        ) from error


def _percentiles(latencies: list[float]) -> dict[str, float | None]:
    """Return percentiles in milliseconds (nearest rank), null when nothing was answered."""
    ordered = sorted(latencies)

    def at(share: float) -> float | None:
        if not ordered:
            return None
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

    return {"p50_ms": at(0.50), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0)}


def _median(values: list[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return round(statistics.median(measured), 2) if measured else None


def _run_id(body: bytes) -> str:
    try:
        return str(json.loads(body)["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"an accepted answer carries no run `id`: {body[:200]!r}") from error


def request_bytes(*, port: int, path: str, token: str, body: bytes) -> bytes:
    """Return the POST each connection repeats."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load one POST route of a server on this machine.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--token", default="", help="default: AGENTRY_TOKEN from the environment")
    parser.add_argument("--body", required=True, help="the JSON sent with each request")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured; 0: no closed loop")
    parser.add_argument("--ramp", type=float, default=1.5, help="seconds before measuring begins")
    parser.add_argument("--rounds", type=int, default=7, help="bursts; 0: none")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for the last answer")
    parser.add_argument("--ids-out", type=Path, help="file for the accepted run ids, one a line")
    return parser.parse_args()


def _allow_sockets(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _FILES_BESIDES_SOCKETS
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{wanted} open files are needed, the limit is {hard}: raise `ulimit -n`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Run as a command."""
    given = _arguments()
    load = Load(
        port=given.port,
        request=request_bytes(
            port=given.port,
            path=given.path,
            token=given.token or os.environ.get("AGENTRY_TOKEN", ""),
            body=given.body.encode(),
        ),
        connections=given.connections,
        seconds=given.seconds,
        ramp_seconds=given.ramp,
        rounds=given.rounds,
        patience_seconds=given.patience,
    )
    try:
        _allow_sockets(load.connections)
        figures, ids = uvloop.run(generate(load))
    except BenchError as error:
        sys.exit(f"load: {error}")
    if given.ids_out:
        given.ids_out.write_text("".join(f"{run_id}\n" for run_id in ids))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
