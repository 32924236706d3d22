"""The measured shape every durable-step benchmark shares, so that systems differ in nothing else.

`RUNS` runs of `STEPS` steps, `CONCURRENCY` of them in flight; a step leaves a 200-byte result
behind that survives a crash before the next step begins. Only the standard library is imported
here: the peers run this file with the interpreter of their own environment.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

RESULT_BYTES = 200
_WARM_UP_RUNS = 16


class BenchError(Exception):
    """A benchmark that cannot give a figure; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many runs of how many steps, and how many runs are in flight at once."""

    concurrency: int
    runs: int
    steps: int

    @property
    def warm_up_runs(self) -> int:
        """Runs made and thrown away first, so that connecting and compiling are not measured."""
        return min(self.concurrency, _WARM_UP_RUNS)

    @property
    def all_steps(self) -> int:
        """Steps stored when everything is over, those of the warm-up included."""
        return (self.runs + self.warm_up_runs) * self.steps


def plan_from(arguments: Sequence[str]) -> Plan:
    """Read `CONC RUNS STEPS`, all positive whole numbers. Raises BenchError."""
    try:
        concurrency, runs, steps = (int(argument) for argument in arguments)
    except ValueError as error:
        raise BenchError(
            f"expected CONC RUNS STEPS, three whole numbers, got {list(arguments)}"
        ) from error
    if min(concurrency, runs, steps) < 1:
        raise BenchError(f"CONC RUNS STEPS start at 1, got {concurrency} {runs} {steps}")
    return Plan(concurrency=concurrency, runs=runs, steps=steps)


def database_url() -> str:
    """Return DATABASE_URL. Raises BenchError when it is not set."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        raise BenchError("DATABASE_URL is empty: give the URL of an empty PostgreSQL database")
    return url


def result_of(run: str, step: int) -> str:
    """Return what one step produces: 200 ASCII characters, different for each step."""
    return f"{run}:{step}:".ljust(RESULT_BYTES, "x")


async def measure(
    plan: Plan,
    run_one: Callable[[str], Awaitable[None]],
    stored_steps: Callable[[], Awaitable[int]],
) -> dict[str, float]:
    """Warm up, drive the plan, count what was stored, and return the figures.

    `run_one` takes a name no other run of this plan has. `stored_steps` counts in the database,
    after the clock stopped. Raises BenchError when that is not one record per step, because a
    figure for steps that were not stored means nothing.
    """
    await _drive(
        plan.concurrency, [f"warm-{number}" for number in range(plan.warm_up_runs)], run_one
    )
    names = [f"run-{number}" for number in range(plan.runs)]
    cpu_before, begun = cpu_seconds(), time.perf_counter()
    await _drive(plan.concurrency, names, run_one)
    wall = time.perf_counter() - begun
    cpu = cpu_seconds() - cpu_before
    stored = await stored_steps()
    if stored != plan.all_steps:
        raise BenchError(f"{stored} steps are in the database, expected {plan.all_steps}")
    steps = plan.runs * plan.steps
    return {
        "steps": steps,
        "wall_seconds": round(wall, 4),
        "steps_per_second": round(steps / wall, 1),
        "cpu_seconds": round(cpu, 4),
    }


async def _drive(
    concurrency: int, names: Sequence[str], run_one: Callable[[str], Awaitable[None]]
) -> None:
    waiting = iter(names)

    async def lane() -> None:
        for name in waiting:
            await run_one(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(names))):
            group.create_task(lane())


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def emit(figures: dict[str, float]) -> None:
    """Write the one JSON line the harness reads: the last line of standard output."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def main(benchmark: Callable[[Plan, str], Awaitable[dict[str, float]]]) -> None:
    """Run one durable-step benchmark as a command: CONC RUNS STEPS, DATABASE_URL from outside."""
    try:
        plan, url = plan_from(sys.argv[1:]), database_url()
    except BenchError as error:
        sys.exit(f"{sys.argv[0]}: {error}")

    async def run() -> dict[str, float]:
        return await benchmark(plan, url)

    emit(asyncio.run(run()))
