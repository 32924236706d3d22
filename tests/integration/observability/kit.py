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
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen
from uuid import NAMESPACE_URL, UUID, uuid5


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
        REDACTION_PATTERNS=(),
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


def serve() -> None:
    import uvicorn
    import uvloop

    configure()
    migrate()
    from tests.integration.observability.app import App

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        App(), log_level="warning", ws_ping_interval=None, ws_per_message_deflate=False
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
        with urlopen(f"{self.http}/{path}", timeout=10) as answer:
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
