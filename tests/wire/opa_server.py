"""A server that speaks OPA's data API, evaluating with our own engine; a program of its own.

    python -m tests.wire.opa_server [MODULE.rego] [--port N]

It prints its port. Modules are put at `/v1/policies/<name>` too, each a package of its own, and are
forgotten when it ends. Below `/fault/<name>` it misbehaves in the way the name says.
"""

import argparse
import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from governance.policy.rego.engine import RegoEngine
from governance.policy.rego.pool import RegoFailedError, RegoPool
from tests.wire.http_server import Exchange, HttpServer

DATA = "/v1/data/agentry/tool/decision"
GOOD = {"effect": "allow", "rule": "fault"}


POLICIES = "/v1/policies/"
_PACKAGE = re.compile(r"^package agentry\.(\w+)$", re.MULTILINE)


class OpaServer:
    """Answers data queries by the module it was given and those that are put to it."""

    def __init__(self, pool: RegoPool, module: str | None) -> None:
        self._pool = pool
        self._engines: dict[str, RegoEngine] = {}
        if module is not None:
            self._engines[DATA] = self._engine(module)

    def _engine(self, module: str) -> RegoEngine:
        return RegoEngine(module, pool=self._pool, deadline_seconds=20)

    async def handle(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if path.startswith("/fault/"):
            name, _, rest = path.removeprefix("/fault/").partition("/")
            assert f"/{rest}" == DATA or f"/{rest}".startswith(POLICIES), path
            await FAULTS[name](exchange)
        elif path.startswith(POLICIES) and exchange.request.method == "PUT":
            await self._put(exchange)
        elif not path.startswith("/v1/data/") or exchange.request.method != "POST":
            await exchange.send(404, b'{"code": "not_found"}')
        elif exchange.request.query.get("strict-builtin-errors") != "true":
            await exchange.send(400, b'{"code": "test", "message": "not asked to be strict"}')
        else:
            await self._decide(exchange)

    async def _put(self, exchange: Exchange) -> None:
        """Hold a module, evaluated as the package that the in-process engine asks for."""
        module = exchange.request.body.decode()
        found = _PACKAGE.search(module)
        if found is None:
            await exchange.send(400, b'{"code": "invalid_parameter", "message": "no package"}')
            return
        self._engines[f"/v1/data/agentry/{found.group(1)}/decision"] = self._engine(
            _PACKAGE.sub("package agentry.tool", module, count=1)
        )
        await exchange.send(200, b"{}")

    async def _decide(self, exchange: Exchange) -> None:
        engine = self._engines.get(exchange.request.path)
        if engine is None:
            await exchange.send(200, b"{}")
            return
        asked = msgspec.json.decode(exchange.request.body)["input"]
        seen = msgspec.json.encode(asked, order="sorted")
        try:
            found = await asyncio.to_thread(engine.evaluate, seen)
        except RegoFailedError as error:
            if "undefined" in str(error):
                await exchange.send(200, b"{}")
            else:
                text = json.dumps({"code": "internal_error", "message": str(error)})
                await exchange.send(500, text.encode())
            return
        await exchange.send(200, json.dumps({"result": found}).encode())


def _sends(status: int, body: object) -> Callable[[Exchange], Awaitable[None]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def send(exchange: Exchange) -> None:
        await exchange.send(status, data, headers={"location": "/v1/data/elsewhere"})

    return send


async def _hangs(exchange: Exchange) -> None:
    await asyncio.Event().wait()


async def _cuts(exchange: Exchange) -> None:
    exchange.cut()


async def _cuts_in_the_middle(exchange: Exchange) -> None:
    await exchange.begin("application/json")
    await exchange.write(b'{"result": {"effect": "al')
    exchange.cut()


async def _drips(exchange: Exchange) -> None:
    """Send a letter often enough that no single read is ever late."""
    await exchange.begin("application/json")
    while True:
        await exchange.write(b" ")
        await asyncio.sleep(0.02)


async def _never_ends(exchange: Exchange) -> None:
    await exchange.begin("application/json")
    while True:
        await exchange.write(b" " * 65536)


FAULTS: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "500": _sends(500, {"code": "internal_error", "message": "no"}),
    "503": _sends(503, b"busy"),
    "404": _sends(404, {"code": "resource_not_found"}),
    "302": _sends(302, {"result": GOOD}),
    "204": _sends(204, {"result": GOOD}),
    "not-json": _sends(200, b"<html>it works</html>"),
    "no-body": _sends(200, b""),
    "list": _sends(200, [{"result": GOOD}]),
    "undefined": _sends(200, {}),
    "true": _sends(200, {"result": True}),
    "null": _sends(200, {"result": None}),
    "permit": _sends(200, {"result": {"effect": "permit"}}),
    "no-effect": _sends(200, {"result": {"rule": "x"}}),
    "more": _sends(200, {"result": {**GOOD, "allow": True}}),
    "quorum": _sends(200, {"result": {"effect": "ask", "quorum": "two"}}),
    "deep": _sends(200, b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "good": _sends(200, {"result": GOOD}),
    "bundles": _sends(
        200, {"result": GOOD, "provenance": {"bundles": {"tools": {"revision": "7"}}}}
    ),
    "odd-provenance": _sends(200, {"result": GOOD, "provenance": ["?"]}),
    "hangs": _hangs,
    "cuts": _cuts,
    "cuts-in-the-middle": _cuts_in_the_middle,
    "drips": _drips,
    "never-ends": _never_ends,
}


async def serve(module: str | None, port: int) -> None:
    """Serve until SIGTERM."""
    pool = RegoPool(processes=2, queue_seconds=30)
    server = HttpServer(OpaServer(pool, module).handle)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await server.start(port=port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await server.close()
        pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for an OPA server")
    parser.add_argument("module", type=Path, nargs="?")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        module = given.module and given.module.read_text(encoding="utf-8")
        asyncio.run(serve(module, given.port))


if __name__ == "__main__":
    main()
