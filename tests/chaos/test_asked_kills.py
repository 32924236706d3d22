"""Kill -9 between a yes and its effect: what was approved happens once, and is counted once.

Each wave asks a person about every charge and every mail, and kills two workers and one of those
who answer. A seed is one death of a worker: which point, and at which visit.
"""

import random
from collections import Counter, deque

import pytest

from tests.chaos.asked import ASKED_POINTS, DECIDER_POINTS
from tests.chaos.cluster import ChaosError, Cluster, Inside, Worker

POINTS = (
    *ASKED_POINTS,
    "dispatch.before_commit",
    "dispatch.after_commit",
    "effect.after",
    "result.before_commit",
    "result.after_commit",
)
RUNS = 6


def orders(seeds: int) -> list[str]:
    chosen = []
    for seed in range(seeds):
        nth = random.Random(seed).randint(1, 4)
        chosen.append(f"{POINTS[seed % len(POINTS)]}:kill:{nth}")
    return chosen


@pytest.mark.timeout(3600)
def test_no_kill_loses_or_repeats_what_was_approved(
    cluster: Cluster, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.desk.call("asked:build", tools_url=cluster.server.url)
    cluster.server.probe(is_on=True)
    planned = orders(max(len(seeds), len(POINTS)))
    waiting, kills, done, waves = deque(planned), Counter[str](), Counter[str](), 0
    while waiting:
        killed = DECIDER_POINTS[waves % len(DECIDER_POINTS)]
        done.update(_wave(cluster, waiting, kills, decider=f"{killed}:kill:{waves % 3 + 1}"))
        waves += 1
        assert waves <= len(planned), f"these are never reached: {waiting}"

    with capsys.disabled():
        lines = [f"{point:<28}{times:>4}" for point, times in sorted(kills.items())]
        print("", *lines, f"{len(planned)} seeds in {waves} waves, {dict(done)}", sep="\n")  # noqa: T201
    assert set(kills) == {*POINTS, *DECIDER_POINTS}
    assert sum(kills[point] for point in POINTS) == len(planned)


def _begin(cluster: Cluster, order: str = "") -> Worker:
    room = str(RUNS // 2)
    return cluster.begin(order, AGENTRY_WORKER_CAPACITY=room, AGENTRY_MAX_CRASHES="1000")


def _wave(
    cluster: Cluster, waiting: deque[str], kills: Counter[str], *, decider: str
) -> dict[str, int]:
    orders = [waiting.popleft() for _ in range(min(4, len(waiting)))]
    alive = [_begin(cluster, orders.pop(0) if orders else "") for _ in range(2)]
    for worker in alive:
        cluster.ready(worker)
    environment = cluster.environment | {"AGENTRY_PAUSE_AT": decider}
    first = Inside(environment, cluster.folder / "decider.log")
    first.call("asked:arm")
    mortal: Inside | None = first
    roots = cluster.desk.call("asked:start", count=RUNS, text="wave")

    def tend() -> None:
        nonlocal mortal
        for place, worker in enumerate(alive):
            if not worker.is_alive:
                kills[worker.order.partition(":")[0]] += 1
                alive[place] = _begin(cluster, orders.pop(0) if orders else "")
        if mortal is None:
            cluster.desk.call("asked:decide", grants=True)
            return
        try:
            mortal.call("asked:decide", grants=True)
        except ChaosError:
            kills[decider.partition(":")[0]] += 1
            mortal.stop()
            mortal = None

    cluster.settle(roots, tend=tend)
    tend()
    if mortal is not None:
        mortal.stop()
    missed = [worker.order.rpartition(":")[0] + ":1" for worker in alive if worker.order]
    waiting.extend([*missed, *orders])
    cluster.check(roots)
    found = cluster.desk.call("asked:complaints", roots=roots)
    assert found == [], "\n".join([*found, cluster.last_words()])
    counts: dict[str, int] = cluster.desk.call("asked:counts", roots=roots)
    cluster.clear()
    return counts
