"""Kill -9 at every named point: nothing is lost, nothing happens twice, nothing is hidden.

A wave is many runs at once on two workers, each of which will kill itself at a point of its own;
whoever dies is replaced, at first by somebody who will do the same. A seed is one such death: which
point, and at which visit.
"""

import random
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from core.pausepoints import POINTS
from tests.chaos.asked import ASKED_POINTS, DECIDER_POINTS
from tests.chaos.cluster import Cluster, Worker

# Forks and runs are inserted where they are asked for; see `test_control` and the lane's tests. No
# run of a wave here asks a person; see `test_asked_kills`, and for revoking a grant
# tests/integration/agents/approvals. None is held for a person; see `test_stepping`. None has
# files, a sandbox, a shadow, a channel or a new key; those have tests of their own.
ELSEWHERE = {
    "rotation.before_write",
    "shadow.before_answer",
    "delivery.taken",
    "sandbox.after_open",
    "sandbox.before_close",
    "fork.before_insert",
    "start.after_commit",
    "step.before_hold",
    "edit.before_commit",
    "grant.before_update",
    "budget.before_park",  # no limit is full here; see tests/integration/agents/budgets
    "budget.before_raise",
    "budget.before_note",  # beat tells of budgets; see tests/integration/agents/budgets
    "policy.before_adopt",  # documents are applied by people; see tests/integration
    "documents.before_apply",
    "drain.before_update",  # nobody drains a worker here; see tests/integration/agents/execution
    "usage.after_read",  # beat adds usage up, and it is no worker here; see test_usage
    "usage.before_commit",
    *ASKED_POINTS,
    *DECIDER_POINTS,
    "snapshot.file_read",
    "snapshot.before_flush",
    "snapshot.before_tree",
    "snapshot.after_tree",
    "workspace.begun",
    "workspace.kept",
    "workspace.before_end",
    "restore.entry",
    "collect.before_delete",
}
WORKER_POINTS = sorted(POINTS - ELSEWHERE)
# How deep into a wave a visit may lie, so that the wave still comes to it.
DEPTH = {
    "claim.after_commit": 2,
    "claim.before_commit": 2,
    "run.after_claim": 2,
    "run.before_finish": 3,
    "control.before_update": 1,
}
USUAL_DEPTH = 8
RUNS = 10
SEEDS_A_WAVE = 4
RETRIES = 5


@dataclass(slots=True)
class Tally:
    """What the seeds saw, printed at the end."""

    kills: Counter[str] = field(default_factory=Counter)
    resolved: Counter[str] = field(default_factory=Counter)
    waves: int = 0
    runs: int = 0
    in_doubt: int = 0
    with_probe_in_doubt: int = 0

    def table(self, seeds: int) -> str:
        lines = [f"\n{'point':<28}{'kills':>6}"]
        lines += [f"{point:<28}{self.kills[point]:>6}" for point in sorted(self.kills)]
        lines.append(
            f"{seeds} seeds in {self.waves} waves: {self.kills.total()} kills, {self.runs} runs, "
            f"{self.in_doubt} in doubt ({self.with_probe_in_doubt} where the target could be "
            f"asked), resolved {dict(self.resolved)}, duplicates 0, lost 0"
        )
        return "\n".join(lines)


def orders(seeds: int) -> list[str]:
    """Give every seed its point, in turn, and its own visit to it."""
    chosen = []
    for seed in range(seeds):
        point = WORKER_POINTS[seed % len(WORKER_POINTS)]
        nth = random.Random(seed).randint(1, DEPTH.get(point, USUAL_DEPTH))
        chosen.append(f"{point}:kill:{nth}")
    return chosen


@pytest.mark.timeout(3600)
def test_no_kill_loses_or_repeats_anything(
    cluster: Cluster, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = orders(max(len(seeds), len(WORKER_POINTS)))
    tally, waiting = Tally(), deque(planned)
    while waiting:
        _wave(cluster, waiting, tally)
        assert tally.waves <= len(planned), f"these are never reached: {waiting}"

    with capsys.disabled():
        print(tally.table(len(planned)))  # noqa: T201
    assert tally.with_probe_in_doubt == 0
    assert tally.kills.total() == len(planned)
    assert set(tally.kills) == set(WORKER_POINTS)


def _begin(cluster: Cluster, order: str = "") -> Worker:
    # Each has room for half a wave, so that both have a part of it.
    room = str(RUNS // 2)
    return cluster.begin(order, AGENTRY_WORKER_CAPACITY=room, AGENTRY_MAX_CRASHES="1000")


def _wave(cluster: Cluster, waiting: deque[str], tally: Tally) -> None:
    """Take seeds off `waiting`: two to begin with, two more for those who come after the dead.

    A seed whose visit did not come about goes back, for the first visit of a later wave.
    """
    has_probe = tally.waves % 2 == 0
    retries = tally.waves % 4 == 1
    cluster.server.probe(is_on=has_probe)
    orders = [waiting.popleft() for _ in range(min(SEEDS_A_WAVE, len(waiting)))]
    alive = [_begin(cluster, orders.pop(0) if orders else "") for _ in range(2)]
    for worker in alive:
        cluster.ready(worker)
    roots = cluster.start("crew", RUNS, f"wave {tally.waves}")

    def replace() -> None:
        for place, worker in enumerate(alive):
            if not worker.is_alive:
                tally.kills[worker.order.partition(":")[0]] += 1
                alive[place] = _begin(cluster, orders.pop(0) if orders else "")

    seen = cluster.settle(roots, tend=replace)
    for _ in range(RETRIES):  # what is tried again may be killed again
        tally.in_doubt += seen["in_doubt"]
        tally.with_probe_in_doubt += seen["in_doubt"] if has_probe else 0
        if not seen["in_doubt"]:
            break
        done = cluster.desk.call(
            "verdict:resolve", roots=roots, record=str(cluster.server.record), retries=retries
        )
        assert done["complaints"] == []
        tally.resolved.update(done["counts"])
        seen = cluster.settle(roots, tend=replace)
    replace()
    missed = [worker.order.rpartition(":")[0] + ":1" for worker in alive if worker.order]
    waiting.extend([*missed, *orders])
    tally.waves += 1
    tally.runs += cluster.desk.call("verdict:size", roots=roots)
    cluster.check(roots)
    cluster.check_money()
    cluster.clear()
