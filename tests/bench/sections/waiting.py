"""Runs that mostly wait for a model: how close one worker process comes to the ideal wall time.

`tests/bench/engine_waiting.py RUNS CALLS MILLISECONDS` starts that many runs at once, each of
CALLS model calls of MILLISECONDS, in one worker process, and answers with `wall_seconds`,
`cpu_seconds`, `steps` and `memory_bytes` (the worker's growth from idle to its peak).
"""

import functools

from tests.bench.figures import Figures
from tests.bench.machine import observed
from tests.bench.programs import Program
from tests.bench.sections.contract import Context, Row, attempt

CALLS = 5
CALL_MILLISECONDS = 500
IDEAL_SECONDS = CALLS * CALL_MILLISECONDS / 1000
_RUNS = (1_000, 10_000)
_NEEDS = ("wall_seconds", "cpu_seconds", "steps", "memory_bytes")
_TIMEOUT_SECONDS = 300.0


def measure(context: Context) -> Figures:
    """Measure 1,000 and 10,000 runs; only 1,000 when quick."""
    figures: Figures = {}
    for runs in _RUNS[:1] if context.is_quick else _RUNS:
        context.tell(f"waiting: {runs:,} runs")
        figures[str(runs)] = attempt(functools.partial(_cell, context, runs))
    return figures


def _cell(context: Context, runs: int) -> Figures:
    with context.servers.database("bench_waiting") as url:
        program = Program(
            module="tests.bench.engine_waiting",
            environment={"DATABASE_URL": url, "REDIS_URL": context.servers.redis_url},
        )
        arguments = [str(runs), str(CALLS), str(CALL_MILLISECONDS)]
        with observed(context.servers) as around:
            told = program.measure(arguments, needs=_NEEDS, timeout_seconds=_TIMEOUT_SECONDS)
    return {
        **told,
        "ideal_seconds": IDEAL_SECONDS,
        "wall_vs_ideal": round(told["wall_seconds"] / IDEAL_SECONDS, 3),
        "cpu_ms_per_step": round(told["cpu_seconds"] * 1000 / told["steps"], 4),
        "memory_bytes_per_run": round(told["memory_bytes"] / runs),
        **around.rounded(),
    }


def rows(figures: Figures) -> list[Row]:
    """One row for each number of runs."""
    found = []
    for runs, cell in figures.items():
        case = f"{int(runs):,} runs of {CALLS} × {CALL_MILLISECONDS} ms"
        if "error" in cell:
            found.append(Row(case=case, figure=cell["error"]))
            continue
        found.append(
            Row(
                case=case,
                figure=(
                    f"{cell['wall_seconds']:.2f} s = {cell['wall_vs_ideal']:.2f} × ideal, "
                    f"{cell['memory_bytes_per_run'] / 1024:.1f} KiB/run"
                ),
                cpu=f"{cell['cpu_ms_per_step']:.3f} ms/step",
                spin_seconds=cell["spin_seconds"],
            )
        )
    return found
