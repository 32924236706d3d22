"""What a site tells beside its pages: sockets, streams, metrics, spans, news, logs."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import uvicorn
from websockets.asyncio.client import connect

from core.env import Environment
from core.tracing.setup import TraceSettings, tracing_start
from tests.integration.security.payload.plant import word
from tests.receiver import Receiver
from tests.services import free_port
from tests.waiting import PATIENCE_SECONDS, wait_for


@contextmanager
def outside() -> Iterator[str]:
    """A server that tools ask: it finds a word, or breaks with one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_broken = self.path.startswith("/broken")
            found = "ordered" if self.path.startswith("/found") else "fetched"
            body = word("errorbody" if is_broken else found)
            self.send_response(500 if is_broken else 200)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def site() -> Iterator[str]:
    """The site as it is served, in a thread of this process; the address of its host."""
    from agentry_site.serving import server_config

    port = free_port()
    server = uvicorn.Server(server_config(host="127.0.0.1", port=port))
    thread = threading.Thread(target=server.run, name="site")
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive(), lambda: "the site did not start")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


@contextmanager
def collecting() -> Iterator[None]:
    """Send spans to a collector, by the settings a site has that only names it."""
    env = Environment(
        {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
    )
    settings = TraceSettings.of(env)
    assert not settings.shows_payloads
    tracing_start(settings, role="web", instance="test")
    yield


def spans(receiver: Receiver) -> str:
    """Return all that a collector was sent, as it was sent: names and values are plain in it."""
    told = [
        gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        for headers, body in receiver.seen
    ]
    return b"\n".join(told).decode("latin-1")


class Follower:
    """A viewer's sockets: one on a run, one on its workspace, until told to stop."""

    def __init__(self, host: str, secret: str, run_id: Any, workspace: str) -> None:
        self.frames: list[str] = []
        self._stop = threading.Event()
        self._open = threading.Semaphore(0)
        self._places = (f"runs/{run_id}", f"workspaces/{workspace}")
        self._host, self._secret = host, secret
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        for _ in self._places:
            assert self._open.acquire(timeout=PATIENCE_SECONDS)
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)

    async def _all(self) -> None:
        await asyncio.gather(*(self._follow(place) for place in self._places))

    async def _follow(self, place: str) -> None:
        headers = {"authorization": f"Bearer {self._secret}"}
        address = f"ws://{self._host}/ws/{place}?after=0"
        async with connect(address, additional_headers=headers) as socket:
            self._open.release()
            while not self._stop.is_set():
                try:
                    async with asyncio.timeout(0.2):
                        self.frames.append(str(await socket.recv()))
                except TimeoutError:
                    continue

    @property
    def text(self) -> str:
        return "\n".join(self.frames)

    def kinds(self) -> set[str]:
        return {json.loads(frame)["type"] for frame in self.frames}


def asked(host: str, secret: str, address: str) -> str:
    """Ask the real server for what goes on until its end; return all of it."""
    answer = httpx2.get(
        f"http://{host}{address}",
        headers={"authorization": f"Bearer {secret}"} if secret else {},
        timeout=PATIENCE_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    return answer.text
