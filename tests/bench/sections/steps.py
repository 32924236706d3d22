"""Durable steps per second: our engine between raw group commit and its peers.

All systems run one after the other at the same number of runs in flight before the next number is
tried, so that a slow minute of the machine hits neighbours rather than one system.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.durable_steps import BenchError
from tests.bench.figures import Figures
from tests.bench.machine import observed
from tests.bench.programs import OUR_PYTHON, PEERS_PYTHON, ROOT, Program
from tests.bench.sections.contract import Context, Row, attempt

STEPS = 10
IN_FLIGHT = (1, 50, 500)
_NEEDS = ("steps", "wall_seconds", "steps_per_second", "cpu_seconds")
_TIMEOUT_SECONDS = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system and how many runs make a measurement of about a second or more."""

    name: str
    module: str
    runs: Mapping[int, int]
    quick_runs: Mapping[int, int]
    python: Path = OUR_PYTHON
    environment: Mapping[str, str] = field(default_factory=dict)
    is_standard: bool = True


_FAST = {1: 100, 50: 2000, 500: 5000}
_FAST_QUICK = {1: 30, 50: 500, 500: 2000}
_SLOW = {1: 20, 50: 200, 500: 500}
_SLOW_QUICK = {1: 5, 50: 50, 500: 500}

SYSTEMS = (
    System(name="raw", module="tests.bench.raw", runs=_FAST, quick_runs=_FAST_QUICK),
    System(name="engine", module="tests.bench.engine_steps", runs=_FAST, quick_runs=_FAST_QUICK),
    System(
        name="dbos",
        module="tests.bench.peers.dbos_steps",
        runs=_SLOW,
        quick_runs=_SLOW_QUICK,
        python=PEERS_PYTHON,
    ),
    System(
        name="langgraph",
        module="tests.bench.peers.langgraph_steps",
        runs=_SLOW,
        quick_runs=_SLOW_QUICK,
        python=PEERS_PYTHON,
    ),
    System(
        name="langgraph-16-savers",
        module="tests.bench.peers.langgraph_steps",
        runs=_SLOW,
        quick_runs=_SLOW_QUICK,
        python=PEERS_PYTHON,
        environment={"BENCH_LANGGRAPH_SAVERS": "16"},
        is_standard=False,
    ),
)


def chosen(names: tuple[str, ...]) -> list[System]:
    """Return the named systems, the standard ones when none is named. Raises BenchError."""
    unknown = set(names) - {system.name for system in SYSTEMS}
    if unknown:
        known = ", ".join(system.name for system in SYSTEMS)
        raise BenchError(f"no system is called {', '.join(sorted(unknown))}; there are {known}")
    return [system for system in SYSTEMS if (system.name in names if names else system.is_standard)]


def measure(context: Context) -> Figures:
    """Measure every chosen system at 1, 50 and 500 runs in flight."""
    systems = chosen(context.systems)
    figures: Figures = {system.name: {} for system in systems}
    for in_flight in IN_FLIGHT:
        for system in systems:
            context.tell(f"steps: {system.name}, {in_flight} in flight")
            cell = functools.partial(_cell, context, system, in_flight)
            figures[system.name][str(in_flight)] = attempt(cell)
    return figures


def _cell(context: Context, system: System, in_flight: int) -> Figures:
    if not system.python.is_file():
        raise BenchError(
            f"{system.python.relative_to(ROOT)} is not there: run tests/bench/peers/setup.py"
        )
    runs = (system.quick_runs if context.is_quick else system.runs)[in_flight]
    with context.servers.database("bench_steps") as url:
        program = Program(
            module=system.module,
            python=system.python,
            environment={
                "DATABASE_URL": url,
                "REDIS_URL": context.servers.redis_url,
                **system.environment,
            },
        )
        arguments = [str(in_flight), str(runs), str(STEPS)]
        with observed(context.servers) as around:
            told = program.measure(arguments, needs=_NEEDS, timeout_seconds=_TIMEOUT_SECONDS)
    return {
        **told,
        "runs": runs,
        "cpu_ms_per_step": round(told["cpu_seconds"] * 1000 / told["steps"], 4),
        **around.rounded(),
    }


def rows(figures: Figures) -> list[Row]:
    """One row for each system and number in flight, with its ratio to raw group commit."""
    found = []
    for in_flight in map(str, IN_FLIGHT):
        raw = figures.get("raw", {}).get(in_flight, {}).get("steps_per_second")
        for system, cells in figures.items():
            cell = cells[in_flight]
            case = f"{system}, {in_flight} in flight"
            if "error" in cell:
                found.append(Row(case=case, figure=cell["error"]))
                continue
            speed = cell["steps_per_second"]
            share = f"  ({speed / raw:.3f} of raw)" if raw and system != "raw" else ""
            found.append(
                Row(
                    case=case,
                    figure=f"{speed:,.0f} steps/s{share}",
                    cpu=f"{cell['cpu_ms_per_step']:.3f} ms/step",
                    spin_seconds=cell["spin_seconds"],
                )
            )
    return found
