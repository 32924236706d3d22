"""How an OPA server is reached: over TLS or a socket, with a token, and never waiting too long."""

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from governance.policy.contracts import PolicyDecision
from governance.policy.opa import OpaEngine
from tests.unit.governance.policy.kit import call
from tests.wire.certificates import self_signed
from tests.wire.http_server import Exchange, HttpServer

BODY = b'{"result": {"effect": "deny", "rule": "served"}}'


def _decide(engine: OpaEngine) -> PolicyDecision:
    try:
        return engine.decide(call())
    finally:
        engine.close()


async def _served(
    ask: Callable[[int], PolicyDecision], tls: ssl.SSLContext | None = None
) -> tuple[PolicyDecision, list[Any]]:
    """Return what `ask` answers, which is called in a thread with the port of a server."""
    heard: list[Any] = []

    async def serve(exchange: Exchange) -> None:
        heard.append(exchange.request)
        await exchange.send(200, BODY)

    server = HttpServer(serve)
    await server.start(tls=tls)
    try:
        return await asyncio.to_thread(ask, server.port), heard
    finally:
        await server.close()


async def test_the_question_is_sent_as_opa_wants_it() -> None:
    def ask(port: int) -> PolicyDecision:
        url = f"http://127.0.0.1:{port}/prefix/"
        return _decide(OpaEngine(url, token="t0ken", deadline_seconds=10))

    decision, (request,) = await _served(ask)

    assert decision.rule == "served"
    assert request.path == "/prefix/v1/data/agentry/tool/decision"
    assert request.query == {"provenance": "true", "strict-builtin-errors": "true"}
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.body.startswith(b'{"input":{"agent":{"depth":0,"name":"helper"')


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    file = self_signed(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(file)
    trusting = ssl.create_default_context(cafile=str(file))

    def ask(tls: ssl.SSLContext | None) -> Callable[[int], PolicyDecision]:
        return lambda port: _decide(
            OpaEngine(f"https://127.0.0.1:{port}", tls=tls, deadline_seconds=10)
        )

    trusted, _ = await _served(ask(trusting), served)
    refused, heard = await _served(ask(None), served)

    assert trusted.rule == "served"
    assert refused.is_abnormal
    assert heard == []


def test_the_server_is_reached_over_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "opa.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            heard = b""
            with connection:
                while b'"run_id":"run-1"' not in heard:
                    heard += connection.recv(65536)
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(BODY)}\r\n\r\n".encode()
                connection.sendall(head + BODY)

        thread = threading.Thread(target=serve)
        thread.start()
        decision = _decide(OpaEngine("http://opa", socket_path=str(path), deadline_seconds=10))
        thread.join()

    assert decision.rule == "served"


def test_a_name_that_takes_long_to_look_up_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released, closed = threading.Event(), threading.Event()
    real = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def look_up(host: Any, *rest: Any, **named: Any) -> Any:
            released.wait()
            return real("127.0.0.1", *rest, **named)

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                if connection.recv(1) == b"":
                    closed.set()

        thread = threading.Thread(target=accept)
        thread.start()
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        decision = _decide(OpaEngine(f"http://slow.example:{port}", deadline_seconds=0.2))
        released.set()
        thread.join()

    assert "did not answer in time" in decision.reason
    assert closed.is_set(), "the connection that came too late was closed unused"
