"""A server that answers as a HashiCorp Vault does; a program of its own.

    python -m tests.wire.vault_server [--port N] [--certificate FILE]

It prints its port. It holds one KV version 2 engine at `kv`, takes the token `root-token` and the
role `role` with the secret id `role-secret`, and requires the namespace `team` for paths below
`team`. `POST /control` with a JSON object changes how it behaves:

    {"write": {"path": …, "data": …}}   put a secret
    {"fault": name}                     misbehave from now on, or no more ("")
    {"revoke": true}                    forget every token a role was given
    {}                                  answer what was asked so far
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

from tests.wire.http_server import Exchange, HttpServer

TOKEN = "root-token"
ROLE, ROLE_SECRET = "role", "role-secret"
_DATA = "/v1/kv/data/"


class VaultServer:
    def __init__(self) -> None:
        self.secrets: dict[str, tuple[dict[str, Any], int]] = {}
        self.tokens: set[str] = set()
        self.fault = ""
        self.asked: list[str] = []

    async def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path == "/control":
            await self._control(exchange, json.loads(request.body or b"{}"))
            return
        self.asked.append(f"{request.method} {request.path}")
        if self.fault:
            await self._misbehave(exchange)
        elif request.path == "/v1/auth/approle/login" and request.method == "POST":
            await self._sign_in(exchange, json.loads(request.body))
        elif request.headers.get("x-vault-token") not in {TOKEN, *self.tokens}:
            await _answer(exchange, 403, {"errors": ["permission denied"]})
        elif request.path.startswith(_DATA) and request.method == "GET":
            await self._read(exchange, request.path.removeprefix(_DATA))
        else:
            await _answer(exchange, 404, {"errors": []})

    async def _sign_in(self, exchange: Exchange, given: dict[str, str]) -> None:
        if (given.get("role_id"), given.get("secret_id")) != (ROLE, ROLE_SECRET):
            await _answer(exchange, 400, {"errors": ["invalid role or secret ID"]})
            return
        token = f"hvs.{secrets.token_urlsafe(20)}"
        self.tokens.add(token)
        auth = {"client_token": token, "lease_duration": 60, "renewable": True}
        await _answer(exchange, 200, {"auth": auth})

    async def _read(self, exchange: Exchange, path: str) -> None:
        wanted = "team" if path.startswith("team/") else ""
        known = self.secrets.get(path)
        if known is None or exchange.request.headers.get("x-vault-namespace", "") != wanted:
            await _answer(exchange, 404, {"errors": []})
            return
        data, version = known
        body = {"data": data, "metadata": {"version": version, "destroyed": False}}
        await _answer(exchange, 200, {"request_id": "r", "lease_duration": 0, "data": body})

    async def _control(self, exchange: Exchange, order: dict[str, Any]) -> None:
        if (written := order.get("write")) is not None:
            _, version = self.secrets.get(written["path"], ({}, 0))
            self.secrets[written["path"]] = (written["data"], version + 1)
        self.fault = order.get("fault", self.fault)
        if order.get("revoke"):
            self.tokens.clear()
        await _answer(exchange, 200, {"asked": self.asked})

    async def _misbehave(self, exchange: Exchange) -> None:
        if self.fault.isdigit():
            told = {"errors": ["the canary-in-an-error"]}
            await _answer(exchange, int(self.fault), told, {"location": "/v1/elsewhere"})
        elif self.fault == "hangs":
            await asyncio.Event().wait()
        elif self.fault == "cuts":
            exchange.cut()
        elif self.fault == "not-json":
            await exchange.send(200, b"<html>canary-in-an-error</html>")
        elif self.fault == "odd":
            await _answer(exchange, 200, {"data": ["canary-in-an-error"], "auth": None})
        else:
            await exchange.begin("application/json")
            while True:
                await exchange.write(b" " * (1 if self.fault == "drips" else 65536))
                await asyncio.sleep(0.02 if self.fault == "drips" else 0)


async def _answer(
    exchange: Exchange, status: int, body: object, headers: dict[str, str] | None = None
) -> None:
    await exchange.send(status, json.dumps(body).encode(), headers=headers)


async def serve(port: int, certificate: Path | None) -> None:
    """Serve until SIGTERM."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    server = HttpServer(VaultServer().handle)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await server.start(port=port, tls=tls)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a HashiCorp Vault")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, given.certificate))


if __name__ == "__main__":
    main()
