"""A live server and a writer as processes of their own, for tests and the bench.

    python -m tests.integration.observability.kit serve     # prints {"port": …}
    python -m tests.integration.observability.kit write '{"runs": […], …}'

Both take DATABASE_URL and REDIS_URL from the environment. The gate is a table in memory that a
test changes over HTTP; everything else is what production runs.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen
from uuid import NAMESPACE_URL, UUID, uuid5

ROLES = {"operator": {"run.view", "run.payload"}, "viewer": {"run.view"}, "nobody": set[str]()}


def workspace_id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"workspace/{name}")


def configure() -> None:
    import django
    import environ
    import structlog
    from django.conf import settings

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    database = environ.Env.db_url_config(os.environ["DATABASE_URL"])
    if database["ENGINE"].endswith("sqlite3"):
        database["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    settings.configure(
        INSTALLED_APPS=[
            "core.apps.CoreConfig",
            "governance.apps.GovernanceConfig",
            "observability.apps.ObservabilityConfig",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "guardian",
            "auditlog",
        ],
        AUTH_USER_MODEL="governance.User",
        ANONYMOUS_USER_NAME=None,
        DATABASES={"default": database},
        USE_TZ=True,
        REDIS_URL=os.environ.get("REDIS_URL", ""),
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="kit",
    )
    django.setup()


def migrate() -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    MigrationExecutor(connection).migrate([("observability", "0001_initial")])
    connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a writer does: `count` events, round robin over `runs`, at `rate` a second."""

    workspace: str
    runs: tuple[str, ...]
    count: int
    rate: float
    batch: int = 10
    size: int = 100
    is_end: bool = True
    deltas: int = 0
    start: int = 0

    @classmethod
    def parse(cls, text: str) -> "Order":
        raw = json.loads(text)
        return cls(**{**raw, "runs": tuple(raw["runs"])})


def write(order: Order) -> None:
    """Write and announce as a journal does: grouped commits, one announcement a commit."""
    from django.db import connection, transaction

    from core.clock import now
    from observability import live
    from observability.contracts import Announcement, EventKind
    from observability.models import TraceEvent
    from observability.recorder import event_row

    workspace = workspace_id(order.workspace)
    runs = [UUID(run) for run in order.runs]
    heads = dict.fromkeys(runs, order.start)
    last = {runs[index % len(runs)]: index for index in range(order.count)}
    began = time.monotonic()
    for first in range(0, order.count, order.batch):
        rows = []
        indexes = range(first, min(first + order.batch, order.count))
        for index in indexes:
            run = runs[index % len(runs)]
            heads[run] += 1
            is_last = order.is_end and last[run] == index
            rows.append(
                event_row(
                    workspace_id=workspace,
                    run_id=run,
                    sequence=heads[run],
                    kind=EventKind.RUN_STATE if is_last else EventKind.RUN_NOTE,
                    at=now(),
                    payload={"sent": time.time(), "fill": "x" * order.size}
                    | ({"is_terminal": True, "state": "succeeded"} if is_last else {}),
                )
            )
        with transaction.atomic():
            TraceEvent.objects.bulk_create(
                TraceEvent(
                    workspace_id=row.workspace_id, run_id=row.run_id, sequence=row.sequence,
                    kind=row.kind, at=row.at, payload=json.loads(row.payload),
                )
                for row in rows
            )  # fmt: skip
        touched = {runs[index % len(runs)] for index in indexes}
        live.announce([Announcement(workspace, run, heads[run]) for run in touched])
        for number in range(order.deltas):
            live.emit_delta(workspace, runs[0], heads[runs[0]], f"d{number} ")
        ahead = (first + order.batch) / order.rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    live.close()
    connection.close()


def make_app() -> Any:
    from channels.routing import URLRouter
    from django.urls import path

    from core.errors import NotAuthenticatedError
    from governance.contracts import Actor, Perm
    from observability import live
    from observability.live import sse
    from observability.live.viewer import Scope, Target
    from observability.live.websocket import RunConsumer, WorkspaceConsumer

    roles = {name: set(perms) for name, perms in ROLES.items()}

    class TableGate:
        """Knows users by `?user=`; a user that was removed is no longer signed in."""

        async def authenticate(self, scope: Scope) -> Actor:
            query = dict(parse_qsl(scope["query_string"].decode()))
            name = query.get("user", "")
            if name not in roles:
                raise NotAuthenticatedError("No valid credential.", remedy="Sign in.")
            return Actor(user_id=uuid5(NAMESPACE_URL, name), username=name)

        async def may(self, actor: Actor, perm: Perm, workspace: UUID) -> bool:
            return perm.value in roles.get(actor.username, ()) and workspace == workspace_id("w")

        async def workspace_named(self, name: str) -> UUID | None:
            return workspace_id(name)

    gate = TableGate()
    sockets = URLRouter(
        [
            path("ws/runs/<uuid:run_id>", RunConsumer.as_asgi(gate=gate)),
            path("ws/workspaces/<slug:name>", WorkspaceConsumer.as_asgi(gate=gate)),
        ]
    )

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await sockets(scope, receive, send)
        elif scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await live.stop()
            await send({"type": f"{message['type']}.complete"})
        else:
            await http(scope, receive, send)

    async def http(scope: dict[str, Any], receive: Any, send: Any) -> None:
        _, kind, *rest = scope["path"].split("/")
        query = dict(parse_qsl(scope["query_string"].decode()))
        if kind == "runs":
            target = Target(run_id=UUID(rest[0]))
            await sse.serve(scope, receive, send, target=target, gate=gate)
        elif kind == "workspaces":
            await sse.serve(
                scope, receive, send, target=Target(workspace=rest[0]), gate=gate
            )
        else:
            answer = control(kind, query)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def control(kind: str, query: dict[str, str]) -> object:
        if kind == "write":
            order = Order.parse(query["order"])
            threading.Thread(target=write, args=(order,), daemon=True).start()
        elif kind == "rights":
            roles[query["user"]] = set(query["perms"].split()) if query.get("perms") else set()
        elif kind == "remove":
            roles.pop(query["user"], None)
        elif kind == "stats":
            usage = os.times()
            return {
                "subscriptions": live.hub().subscription_count,
                "cpu_seconds": usage.user + usage.system,
            }
        return {}

    return app


def serve() -> None:
    import uvicorn
    import uvloop

    configure()
    migrate()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        make_app(), log_level="warning", ws_ping_interval=None, ws_per_message_deflate=False
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


@dataclass(frozen=True, slots=True)
class LiveServer:
    port: int
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, path: str) -> Any:
        with urlopen(f"{self.http}/{path}", timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def write(self, **order: Any) -> None:
        """Write from a thread of the server process, as the embedded engine does."""
        self.control("write?" + urlencode({"order": json.dumps(order)}))

    def writing(self, order: Mapping[str, Any]) -> "subprocess.Popen[bytes]":
        """Start a writer process; its news reaches the server over Redis."""
        return _spawn(["write", json.dumps(order)], self.environment)


@contextmanager
def serving(*, database_url: str, redis_url: str = "") -> Iterator[LiveServer]:
    """Run a live server as a process while the block runs."""
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    process = _spawn(["serve"], environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"The live server ended at start with {process.wait()}.")
        yield LiveServer(json.loads(line)["port"], process, environment)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _spawn(arguments: list[str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.observability.kit", *arguments],
        stdout=subprocess.PIPE if arguments == ["serve"] else subprocess.DEVNULL,
        env=dict(environment),
    )


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        configure()
        write(Order.parse(sys.argv[2]))
