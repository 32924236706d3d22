"""Durable steps of our engine: runs of scripted answers, each a message, a checkpoint, an event.

    DATABASE_URL=postgresql://… python -m tests.bench.engine_steps CONC RUNS STEPS

The whole way is measured: runs are inserted, claimed with fence and lease, driven by the engine,
every step committed under the fence with its trace event, and ended. The model answers at once.
"""

import sys
import time
from typing import TYPE_CHECKING

from tests.bench import durable_steps
from tests.bench.durable_steps import BenchError, Plan, cpu_seconds

if TYPE_CHECKING:
    from governance.models import Workspace


def _script(steps: int) -> str:
    text = f'text: "{"x" * durable_steps.RESULT_BYTES}"'
    usage = "usage: {input_tokens: 50, output_tokens: 50}"
    more = f"  - {{{text}, finish: continue, repeat: {steps - 1}, {usage}}}\n" if steps > 1 else ""
    return f"steps:\n{more}  - {{{text}, {usage}}}\n"


def main() -> None:
    try:
        plan = durable_steps.plan_from(sys.argv[1:])
    except BenchError as error:
        sys.exit(f"{sys.argv[0]}: {error}")
    from tests.bench.site import prepare

    workspace, agent = prepare(
        _script(plan.steps), {"tools": [], "limits": {"max_iterations": plan.steps + 1}}
    )
    durable_steps.emit(_measure(plan, workspace, agent))


def _measure(plan: Plan, workspace: "Workspace", agent: str) -> dict[str, float]:
    from agents.engine_process import make_journal
    from agents.models import Checkpoint
    from core.process import tune_garbage_collection
    from tests.bench.site import Countdown, WatchedHost, births

    countdown = Countdown(plan.warm_up_runs)
    host = WatchedHost(capacity=plan.concurrency, on_ended=lambda run: countdown.ended(run))  # noqa: PLW0108  # the countdown is replaced
    host.start()
    tune_garbage_collection()  # as a worker does
    journal = make_journal()

    def drive(count: int) -> float:
        nonlocal countdown
        countdown = Countdown(count)
        begun = time.perf_counter()
        futures = [journal.submit(birth) for birth in births(workspace, agent, count)]
        for future in futures:
            future.result()
        host.ring()
        if not countdown.wait(300):
            raise BenchError("the runs did not end within 300 s")
        return time.perf_counter() - begun

    drive(plan.warm_up_runs)
    cpu_before = cpu_seconds()
    wall = drive(plan.runs)
    cpu = cpu_seconds() - cpu_before
    stored = Checkpoint.objects.count()
    if stored != plan.all_steps:
        raise BenchError(f"{stored} steps are in the database, expected {plan.all_steps}")
    host.drain()
    journal.close()
    steps = plan.runs * plan.steps
    return {
        "steps": steps,
        "wall_seconds": round(wall, 4),
        "steps_per_second": round(steps / wall, 1),
        "cpu_seconds": round(cpu, 4),
    }


if __name__ == "__main__":
    main()
