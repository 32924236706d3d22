"""The way in under load: `invoke` at 1,000 connections, and what is left after a kill -9.

`tests/bench/invoke_site.py` starts a site on DATABASE_URL (and REDIS_URL when given), prepares an
agent and a token, and writes one JSON line when it is ready: `port`, `token`, and `lanes`, which
maps `lean` and `drf` to the `path` and `body` to post. It serves until SIGTERM and runs no worker,
so that accepting alone is measured. An accepted answer carries the run's `id`.
"""

import json
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from tests.bench.durable_steps import BenchError
from tests.bench.figures import Figures
from tests.bench.machine import family_cpu_seconds, observed
from tests.bench.programs import ROOT, Program, Serving, last_words
from tests.bench.sections.contract import Context, Row, attempt

CONNECTIONS = 1000
_READY_SECONDS = 90.0
_LOAD_TIMEOUT_SECONDS = 240.0
_KILL_AFTER_SECONDS = 2.0
_RUN_TABLE = "agents_run"


def measure(context: Context) -> Figures:
    """Measure both databases in the lean lane, and the DRF lane on PostgreSQL for comparison."""
    figures: Figures = {}
    with context.servers.database("bench_invoke") as url:
        environment = {"DATABASE_URL": url, "REDIS_URL": context.servers.redis_url}
        figures["postgres"] = attempt(lambda: _lane(context, environment, "lean"))
        figures["postgres_drf"] = attempt(lambda: _lane(context, environment, "drf"))
    file = context.servers.folder / "invoke.sqlite3"
    on_sqlite = {"DATABASE_URL": f"sqlite:///{file}", "REDIS_URL": ""}
    figures["sqlite"] = attempt(lambda: _lane(context, on_sqlite, "lean"))
    for left in context.servers.folder.glob(f"{file.name}*"):
        left.unlink()
    return figures | {"runs_lost": _runs_lost(figures)}


def _lane(context: Context, environment: dict[str, str], lane: str) -> Figures:
    site = Program(module="tests.bench.invoke_site", environment=environment)
    log = context.servers.folder / "invoke-site.log"
    seconds, rounds = (2, 3) if context.is_quick else (5, 7)
    database = environment["DATABASE_URL"]
    context.tell(f"invoke: {lane} lane on {database.partition(':')[0]}")
    ids = context.servers.folder / "invoke-ids.txt"
    with site.serving(
        log, needs=("port", "token", "lanes"), ready_seconds=_READY_SECONDS
    ) as serving:
        cpu_before = family_cpu_seconds(serving.process.pid)
        with observed(context.servers) as around:
            arguments = ["--seconds", str(seconds), "--rounds", str(rounds), "--ids-out", str(ids)]
            figures = _load(serving, lane).measure(
                _load_arguments(serving, lane, arguments),
                needs=("closed", "bursts", "answers"),
                timeout_seconds=_LOAD_TIMEOUT_SECONDS,
            )
        cpu = family_cpu_seconds(serving.process.pid) - cpu_before
        figures["server_cpu_us_per_request"] = round(cpu * 1e6 / max(1, figures["answers"]), 1)
        figures |= around.rounded() | {"stored": _stored(database, ids)}
        figures["killed"] = _kill_under_load(serving, lane, database, ids)
    return figures


def _kill_under_load(serving: Serving, lane: str, database: str, ids: Path) -> Figures:
    """Kill the site while answers are flowing; every run it answered for must be stored."""
    program = _load(serving, lane)
    ids.unlink()
    arguments = ["--seconds", "5", "--ramp", "0", "--rounds", "0", "--ids-out", str(ids)]
    load = subprocess.Popen(
        program.command(_load_arguments(serving, lane, arguments)),
        env=program.surroundings(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        time.sleep(_KILL_AFTER_SECONDS)
        serving.kill()
        answer, words = load.communicate(timeout=_LOAD_TIMEOUT_SECONDS)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
    if load.returncode != 0:
        raise BenchError(f"the load around the kill failed: {last_words(words.decode())}")
    if not json.loads(answer)["connections_lost"]:
        raise BenchError("the load had ended before the site was killed: nothing was shown")
    return _stored(database, ids)


def _load(serving: Serving, lane: str) -> Program:
    if lane not in serving.told["lanes"]:
        raise BenchError(f"tests/bench/invoke_site.py offers no lane called {lane}")
    return Program(module="tests.bench.load", environment={"AGENTRY_TOKEN": serving.told["token"]})


def _load_arguments(serving: Serving, lane: str, more: list[str]) -> list[str]:
    way = serving.told["lanes"][lane]
    return [
        *["--port", str(serving.told["port"]), "--path", way["path"]],
        *["--body", json.dumps(way["body"]), "--connections", str(CONNECTIONS), *more],
    ]


def _stored(database: str, ids: Path) -> dict[str, int]:
    """Count the ids of a file that are in the run table, asking the database itself."""
    accepted = {UUID(line) for line in ids.read_text().split()}
    if database.startswith("sqlite"):
        with sqlite3.connect(database.removeprefix("sqlite:///")) as file:
            found = {UUID(run_id) for (run_id,) in file.execute(f"SELECT id FROM {_RUN_TABLE}")}
            stored = len(accepted & found)
        file.close()
    else:
        with psycopg.connect(database) as connection:
            row: Any = connection.execute(
                f"SELECT count(*) FROM {_RUN_TABLE} WHERE id = ANY(%s)", [list(accepted)]
            ).fetchone()
            stored = int(row[0])
    return {"accepted": len(accepted), "stored": stored, "missing": len(accepted) - stored}


def _lanes(figures: Figures) -> dict[str, Figures]:
    return {name: figures[name] for name in ("postgres", "postgres_drf", "sqlite")}


def _runs_lost(figures: Figures) -> int | None:
    """Sum what any lane lost, with or without a kill; None when no lane was measured."""
    measured = [lane for lane in _lanes(figures).values() if "error" not in lane]
    if not measured:
        return None
    lost: int = sum(lane["stored"]["missing"] + lane["killed"]["missing"] for lane in measured)
    return lost


def rows(figures: Figures) -> list[Row]:
    """Four rows for each lane: closed loop, bursts, and what is stored after load and kill."""
    found = []
    for lane, cell in _lanes(figures).items():
        if "error" in cell:
            found.append(Row(case=lane, figure=cell["error"]))
            continue
        closed, bursts = cell["closed"], cell["bursts"]
        stored, killed = cell["stored"], cell["killed"]
        statuses = ", ".join(f"{count:,} × {status}" for status, count in cell["statuses"].items())
        found += [
            Row(
                case=f"{lane}, {CONNECTIONS:,} connections, closed loop",
                figure=(
                    f"{closed['requests_per_second']:,.0f} req/s, p50 {_ms(closed['p50_ms'])}, "
                    f"p95 {_ms(closed['p95_ms'])}, p99 {_ms(closed['p99_ms'])}"
                ),
                cpu=f"{cell['server_cpu_us_per_request']:.0f} µs/request",
                spin_seconds=cell["spin_seconds"],
            ),
            Row(
                case=f"{lane}, bursts of {CONNECTIONS:,}",
                figure=f"p95 {_ms(bursts['p95_ms'])}, p99 {_ms(bursts['p99_ms'])} ({statuses})",
            ),
            Row(case=f"{lane}, stored afterwards", figure=_kept(stored)),
            Row(
                case=f"{lane}, kill -9 under load",
                figure=_kept(killed),
            ),
        ]
    return found


def _kept(stored: dict[str, int]) -> str:
    return f"{stored['missing']:,} of {stored['accepted']:,} accepted runs lost"


def _ms(value: float | None) -> str:
    return "none answered" if value is None else f"{value:.0f} ms"
