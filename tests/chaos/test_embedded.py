"""One process on SQLite, killed with -9 and started again: it goes on where it was."""

from collections import Counter

import pytest

from tests.chaos.cluster import Cluster, Worker
from tests.chaos.test_kill_points import WORKER_POINTS, orders

RUNS = 6

# Only a sweep that finds something comes here, and one site leaves it nothing; waves of several
# workers are killed there (test_kill_points).
UNSURE = "control.before_update"


@pytest.mark.timeout(1200)
def test_a_killed_site_goes_on_where_it_was(
    embedded: Cluster, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    kills: Counter[str] = Counter()
    doubtful = 0
    # A part of the seeds: every point as soon as there are enough of them for it.
    planned = orders(max(len(seeds) // 4, 4) if len(seeds) < 72 else len(WORKER_POINTS) * 2)
    chosen = [order for order in _spread(planned) if not order.startswith(UNSURE)]
    for number, order in enumerate(chosen):
        doubtful += _killed_once(embedded, number, order, kills)

    with capsys.disabled():
        print(  # noqa: T201
            f"\nembedded: {len(chosen)} seeds, {kills.total()} kills at {len(kills)} points, "
            f"{len(chosen) * RUNS} trees, {doubtful} in doubt, duplicates 0, lost 0"
        )
    assert kills.total() == len(chosen), chosen


def _spread(planned: list[str]) -> list[str]:
    """With few seeds, take points from all over the list and not its beginning."""
    if len(planned) >= len(WORKER_POINTS):
        return planned
    every = [each for each in orders(len(WORKER_POINTS)) if not each.startswith(UNSURE)]
    return every[:: len(every) // len(planned)][: len(planned)]


def _killed_once(embedded: Cluster, number: int, order: str, kills: Counter[str]) -> int:
    has_probe = number % 2 == 0
    embedded.server.probe(is_on=has_probe)
    armed = embedded.ready(embedded.begin_site(order))
    roots = embedded.start("crew", RUNS, f"embedded {number}")
    again: list[Worker] = []

    def restart() -> None:
        if not armed.is_alive and not again:
            kills[order.partition(":")[0]] += 1
            again.append(embedded.begin_site())

    seen = embedded.settle(roots, tend=restart)
    doubtful = int(seen["in_doubt"])
    assert not (has_probe and doubtful)
    done = embedded.desk.call(
        "verdict:resolve", roots=roots, record=str(embedded.server.record), retries=True
    )
    assert done["complaints"] == []
    embedded.settle(roots, tend=restart)
    embedded.check(roots)
    embedded.check_money()
    embedded.clear()
    return doubtful
