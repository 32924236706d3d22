"""Many runs that mostly wait, in one worker process.

    DATABASE_URL=… python -m tests.bench.engine_waiting RUNS CALLS MILLISECONDS

Every run asks a model CALLS times that answers after MILLISECONDS; each answer is a durable step.
The clock runs from inserting the first run to the end of the last.
"""

import resource
import sys
import time

from tests.bench import durable_steps
from tests.bench.durable_steps import BenchError, cpu_seconds


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  # not a real file
        return int(file.read().split()[1]) * resource.getpagesize()


def main() -> None:
    runs, calls, milliseconds = (int(argument) for argument in sys.argv[1:4])
    from core.process import tune_garbage_collection
    from tests.bench.site import Countdown, WatchedHost, births, make_journal, prepare

    usage = "usage: {input_tokens: 50, output_tokens: 50}"
    more = f"  - {{text: a, finish: continue, repeat: {calls - 1}, {usage}}}\n" if calls > 1 else ""
    workspace, agent = prepare(
        f"delay_ms: {milliseconds}\nsteps:\n{more}  - {{text: done, {usage}}}\n",
        {"tools": [], "limits": {"max_iterations": calls + 1}},
    )
    countdown = Countdown(1)
    host = WatchedHost(capacity=runs, on_ended=lambda run: countdown.ended(run))  # noqa: PLW0108  # the countdown is replaced
    host.start()
    tune_garbage_collection()  # as a worker does
    journal = make_journal()
    journal.submit(births(workspace, agent, 1)[0]).result()
    host.ring()
    countdown.wait(60)
    idle_bytes, cpu_before = _resident_bytes(), cpu_seconds()
    countdown = Countdown(runs)
    prepared = births(workspace, agent, runs)
    begun = time.perf_counter()
    for future in [journal.submit(birth) for birth in prepared]:
        future.result()
    host.ring()
    if not countdown.wait(280):
        raise BenchError("the runs did not end in time")
    wall = time.perf_counter() - begun
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures = {
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu_seconds() - cpu_before, 3),
        "steps": runs * calls,
        "memory_bytes": peak_bytes - idle_bytes,
    }
    host.drain()
    journal.close()
    durable_steps.emit(figures)


if __name__ == "__main__":
    main()
