"""A stand-in vendor: one protocol (`Vendor`), one scenario, a real port, and a log of requests."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.wire.http_server import Exchange, HttpServer, Request
from tests.wire.scenario import Answer, Ask, Fault, Scenario


class RefusedError(Exception):
    """The vendor would refuse this request, with this status and sentence."""

    def __init__(self, status: int, message: str, *, kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


class Vendor(Protocol):
    """One vendor's wire protocol."""

    def route(self, request: Request) -> bool: ...

    def key(self, request: Request) -> str: ...

    def read(self, request: Request, body: dict[str, Any]) -> Ask:
        """Return what is asked; raise RefusedError as the vendor would."""
        ...

    def frames(self, answer: Answer, ask: Ask) -> list[bytes]:
        """Return the whole stream, one entry an event as it goes over the wire."""
        ...

    def document(self, answer: Answer, ask: Ask) -> dict[str, Any]: ...

    def error(self, status: int, message: str, kind: str) -> dict[str, Any]: ...

    def error_frame(self, message: str, kind: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int


class VendorServer:
    """Answers as `scenario` says, after having checked the request as the vendor does."""

    def __init__(
        self, vendor: Vendor, scenario: Scenario, *, key: str = "", log_path: Path | None = None
    ) -> None:
        self._vendor = vendor
        self._scenario = scenario
        self._key = key
        self._log_path = log_path
        self._http = HttpServer(self._handle)
        self.requests: list[Recorded] = []
        self.client_left = asyncio.Event()  # set when a client goes away in mid-answer
        self._released = asyncio.Event()

    @property
    def port(self) -> int:
        return self._http.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        await self._http.start(host, port)

    async def close(self) -> None:
        await self._http.close()

    def release(self) -> None:
        """Give the answers that are held, from now on."""
        self._released.set()

    async def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        body: Any = None
        try:
            if not self._vendor.route(request):
                raise RefusedError(404, f"Unknown request URL: {request.method} {request.path}.")
            body = _body(request)
            if self._key and self._vendor.key(request) != self._key:
                raise RefusedError(401, "The API key provided is not valid.", kind="auth")
            ask = self._read(request, body)
            answer, fault = self._scenario.pick(ask)
            if answer is None:
                raise RefusedError(500, f"The scenario has no answer for turn {ask.turn}.")
        except RefusedError as refused:
            self._record(request, body, refused.status)
            error = self._vendor.error(refused.status, refused.message, refused.kind)
            await exchange.send(refused.status, json.dumps(error).encode())
            return
        is_refused = fault is not None and fault.kind in ("status", "echo_key")
        self._record(request, body, fault.status if fault and is_refused else 200)
        if answer.is_held:
            await self._released.wait()
        try:
            await self._answer(exchange, answer, ask, fault)
        except ConnectionError:
            self.client_left.set()
            raise

    def _read(self, request: Request, body: dict[str, Any]) -> Ask:
        try:
            return self._vendor.read(request, body)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            # A shape so odd that no check foresaw it; vendors answer 400 as well.
            raise RefusedError(400, f"The request is malformed: {error!r}.") from None

    async def _answer(
        self, exchange: Exchange, answer: Answer, ask: Ask, fault: Fault | None
    ) -> None:
        if fault is not None and await self._instead(exchange, fault):
            return
        if not ask.is_streaming or "document" in answer.style:
            await exchange.send(200, json.dumps(self._vendor.document(answer, ask)).encode())
            return
        await exchange.begin("text/event-stream; charset=utf-8")
        for number, frame in enumerate(self._vendor.frames(answer, ask)):
            is_due = fault is not None and number == fault.after_frames
            if fault is not None and is_due and await self._within(exchange, fault):
                return
            if fault is not None and fault.kind == "slow_drip":
                for start in range(len(frame)):
                    await exchange.write(frame[start : start + 1])
                    await asyncio.sleep(fault.ms / 1000)
                continue
            await exchange.write(frame)
            if answer.chunk_ms:
                await asyncio.sleep(answer.chunk_ms / 1000)
        await exchange.end()

    async def _instead(self, exchange: Exchange, fault: Fault) -> bool:
        """Do what comes in place of an answer; False when the fault is of another kind."""
        match fault.kind:
            case "status" | "echo_key":
                message = fault.message
                if fault.kind == "echo_key":
                    message = f"Incorrect API key provided: {self._vendor.key(exchange.request)}."
                headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
                error = self._vendor.error(fault.status, message, fault.type)
                await exchange.send(fault.status, json.dumps(error).encode(), headers=headers)
            case "plain_json_error":
                error = self._vendor.error(fault.status, fault.message, fault.type)
                await exchange.send(200, json.dumps(error).encode())
            case "hang":
                await asyncio.Event().wait()
            case "html":
                page = b"<!doctype html><html><head><title>Welcome to the proxy</title></html>"
                await exchange.send(200, page, headers={"content-type": "text/html"})
            case "redirect":
                target = {"location": "http://127.0.0.1:9/elsewhere"}
                await exchange.send(fault.status, b"", headers=target)
            case "reset":
                exchange.cut()
            case _:
                return False
        return True

    async def _within(self, exchange: Exchange, fault: Fault) -> bool:
        """Do what happens in the middle of an answer; True when that ends it."""
        match fault.kind:
            case "malformed_chunk":
                await exchange.write(b'data: {"choices": [{"delta": {"content": "hal\n\n')
                return False
            case "error_in_stream":
                await exchange.write(self._vendor.error_frame(fault.message, fault.type))
                await exchange.end()
            case "truncate":
                await exchange.end()
            case "cut":
                exchange.cut()
            case "hang_midway":
                await asyncio.Event().wait()
            case "endless_line":
                await exchange.write(b"data: ")
                while True:
                    await exchange.write(b"x" * 65_536)
            case _:
                return False
        return True

    def _record(self, request: Request, body: Any, status: int) -> None:
        recorded = Recorded(path=request.path, headers=request.headers, body=body, status=status)
        self.requests.append(recorded)
        if self._log_path is not None:
            line = {"path": request.path, "headers": dict(request.headers)}
            with self._log_path.open("a", encoding="utf-8") as log:
                log.write(json.dumps({**line, "body": body, "status": status}) + "\n")


@asynccontextmanager
async def serving(
    vendor: Vendor, *answers: Mapping[str, Any], key: str = ""
) -> AsyncIterator[VendorServer]:
    """Run a stand-in vendor on the current event loop while the block runs."""
    server = VendorServer(vendor, Scenario.of(*answers), key=key)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def run(vendor: Vendor, arguments: Sequence[str] | None = None) -> None:
    """Serve from the command line until SIGTERM or SIGINT; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=type(vendor).__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, required=True, help="scenario, JSON or YAML")
    parser.add_argument("--log", type=Path, help="append every request to this file as JSON lines")
    parser.add_argument("--key", default="", help="refuse requests with another key")
    given = parser.parse_args(arguments)
    server = VendorServer(vendor, Scenario.load(given.script), key=given.key, log_path=given.log)
    asyncio.run(_serve(server, given.host, given.port))


async def _serve(server: VendorServer, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, server.release)
    await server.start(host, port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await ended.wait()
    await server.close()


def _body(request: Request) -> dict[str, Any]:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise RefusedError(415, "The content type must be application/json.")
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be a JSON object.")
    return body


def sse(data: Mapping[str, Any] | str, *, event: str = "") -> bytes:
    """Write one event as it goes over the wire."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {text}\n\n".encode()


def require(condition: object, message: str, *, kind: str = "") -> None:
    """Refuse the request with status 400 unless `condition` holds."""
    if not condition:
        raise RefusedError(400, message, kind=kind)
