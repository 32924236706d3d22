"""Live delivery: viewers of a workspace while events stream in, measured by tests/bench/live.py.

It runs in a process of its own, as its command does: 100 viewers, 1,000 events a second.
"""

from tests.bench.figures import Figures
from tests.bench.machine import observed
from tests.bench.programs import Program
from tests.bench.sections.contract import Context, Row

_NEEDS = ("p95_ms", "delivered", "lost")
_TIMEOUT_SECONDS = 240.0


def measure(context: Context) -> Figures:
    """Measure the standard case of tests/bench/live.py."""
    context.tell("live: viewers of a workspace")
    with context.servers.database("bench_live") as url:
        program = Program(
            module="tests.bench.live",
            environment={"DATABASE_URL": url, "REDIS_URL": context.servers.redis_url},
        )
        with observed(context.servers) as around:
            told = program.measure([], needs=_NEEDS, timeout_seconds=_TIMEOUT_SECONDS)
    return told | around.rounded()


def rows(figures: Figures) -> list[Row]:
    """One row: delays, and what arrived."""
    return [
        Row(
            case="viewers of a workspace",
            figure=(
                f"p95 {figures['p95_ms']:.0f} ms, {figures['delivered']:,} delivered, "
                f"{figures['lost']:,} lost"
            ),
            spin_seconds=figures["spin_seconds"],
        )
    ]
