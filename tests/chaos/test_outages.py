"""Servers that forget, restart and vanish; workers that stall, leave and are brought down."""

import signal
import time

import pytest

from tests.chaos.cluster import Cluster, Worker
from tests.services import PostgresServer, RedisServer
from tests.waiting import wait_for

RUNS = 10
WORKERS = {"AGENTRY_WORKER_CAPACITY": str(RUNS)}
# Where no worker dies, no lease may run out only because this machine is busy.
CALM_LEASE_SECONDS = 30
CALM = WORKERS | {"AGENTRY_LEASE_SECONDS": str(CALM_LEASE_SECONDS)}


def _two(cluster: Cluster) -> tuple[Worker, Worker]:
    first, second = cluster.begin("", **CALM), cluster.begin("", **CALM)
    return cluster.ready(first), cluster.ready(second)


def _under_way(cluster: Cluster, roots: list[str]) -> None:
    """Wait until the runs have begun to have effects."""
    wait_for(
        lambda: cluster.desk.call("verdict:progress", roots=roots)["settled_calls"] >= len(roots),
        lambda: f"nothing began: {cluster.last_words()}",
    )


def _taken_over(cluster: Cluster, before: dict[str, int]) -> bool:
    fences = cluster.desk.call("verdict:fences", roots=list(before))
    return all(fences[run] > fence for run, fence in before.items())


def _standing(cluster: Cluster, roots: list[str]) -> str:
    fences = cluster.desk.call("verdict:fences", roots=roots)
    return f"{fences}, {cluster.desk.call('verdict:locked')}, {cluster.last_words()}"


def _finish(cluster: Cluster, roots: list[str]) -> dict[str, int]:
    """Wait for the end; what is in doubt by then is settled by what the target knows."""
    cluster.settle(roots)
    cluster.desk.call(
        "verdict:resolve", roots=roots, record=str(cluster.server.record), retries=False
    )
    seen: dict[str, int] = cluster.settle(roots)
    cluster.check(roots)
    return seen


@pytest.mark.timeout(240)
def test_a_broker_that_forgets_everything_costs_no_run(
    cluster: Cluster, redis_server: RedisServer
) -> None:
    _two(cluster)
    roots = cluster.start("crew", RUNS, "flushed")
    _under_way(cluster, roots)
    redis_server.flush()

    seen = _finish(cluster, roots)

    assert seen["crashes"] == 0


@pytest.mark.timeout(240)
def test_a_broker_that_restarts_costs_no_run_and_no_worker(
    cluster: Cluster, redis_server: RedisServer
) -> None:
    workers = _two(cluster)
    roots = cluster.start("crew", RUNS, "broker restarted")
    _under_way(cluster, roots)
    redis_server.kill()
    more = cluster.start("crew", RUNS, "while the broker is away")
    redis_server.start()

    seen = _finish(cluster, roots + more)

    assert seen["crashes"] == 0
    assert [worker.is_alive for worker in workers] == [True, True]


@pytest.mark.timeout(240)
def test_a_database_that_is_cut_off_in_mid_commit_costs_no_run(
    cluster: Cluster, postgres_server: PostgresServer
) -> None:
    workers = _two(cluster)
    roots = cluster.start("crew", RUNS, "database restarted")
    _under_way(cluster, roots)
    postgres_server.kill()
    wait_for(
        lambda: all("database_unreachable" in worker.log.read_text() for worker in workers),
        lambda: f"not both met a server that is not there: {cluster.last_words()}",
    )
    postgres_server.start()

    _finish(cluster, roots)

    assert [worker.is_alive for worker in workers] == [True, True]


@pytest.mark.timeout(240)
def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on(cluster: Cluster) -> None:
    stalled = cluster.ready(cluster.begin("", **WORKERS))
    roots = cluster.start("slow", RUNS, "stalled")
    _under_way(cluster, roots)
    stalled.send(signal.SIGSTOP)
    before = cluster.desk.call("verdict:unended", roots=roots)
    assert before
    cluster.ready(cluster.begin("", **WORKERS))
    wait_for(lambda: _taken_over(cluster, before), lambda: _standing(cluster, roots))
    stalled.send(signal.SIGCONT)

    _finish(cluster, roots)

    assert stalled.is_alive
    # Every event after the take-over is the new owner's: the one who stalled was refused.
    assert cluster.desk.call("verdict:strangers", roots=roots) == []


@pytest.mark.timeout(240)
def test_a_worker_stopped_with_rows_locked_that_all_need_keeps_nobody_waiting(
    cluster: Cluster,
) -> None:
    """The database ends a session that is idle inside a transaction, and lets go of its locks."""
    stalled = cluster.ready(cluster.begin("budget.before_commit:stop:15", **WORKERS))
    roots = cluster.start("slow", RUNS, "locked")
    wait_for(lambda: stalled.is_stopped, lambda: f"it goes on: {cluster.last_words()}")
    cluster.ready(cluster.begin("", **WORKERS))

    _finish(cluster, roots)
    wait_for(
        lambda: not cluster.desk.call("verdict:left_open", seconds=1),
        lambda: f"it has {cluster.desk.call('verdict:left_open', seconds=1)} open",
        seconds=30,
    )
    assert stalled.is_stopped
    stalled.send(signal.SIGCONT)
    late = cluster.start("slow", 2, "late")
    _finish(cluster, late)

    assert stalled.is_alive
    assert cluster.desk.call("verdict:strangers", roots=roots) == []


@pytest.mark.timeout(240)
def test_a_draining_worker_hands_over_at_a_step_boundary_without_a_crash(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    leaving = cluster.ready(cluster.begin("", **CALM))
    roots = cluster.start("slow", RUNS, "drained")
    _under_way(cluster, roots)
    leaving.send(signal.SIGSTOP)  # it keeps its leases and its runs until there is an heir
    cluster.ready(cluster.begin("", **CALM))
    leaving.send(signal.SIGCONT)
    begun = time.monotonic()
    leaving.send(signal.SIGTERM)
    wait_for(lambda: not leaving.is_alive, lambda: f"it does not leave: {cluster.last_words()}")
    drained_seconds = time.monotonic() - begun

    seen = _finish(cluster, roots)

    hand_overs = cluster.desk.call("verdict:hand_overs", roots=roots)
    assert len(hand_overs) == RUNS, f"left after {drained_seconds:.2f} s, took over {hand_overs}"
    with capsys.disabled():
        print(  # noqa: T201
            f"\ndrain: {RUNS} runs, worker gone after {drained_seconds:.2f} s, "
            f"taken over after {max(hand_overs):.3f} s at most"
        )
    assert seen["crashes"] == 0
    assert max(hand_overs) < CALM_LEASE_SECONDS


@pytest.mark.timeout(240)
def test_a_run_that_kills_its_workers_is_parked_and_its_neighbours_are_not(
    cluster: Cluster,
) -> None:
    crashes = 4
    limits = {"AGENTRY_WORKER_CAPACITY": str(2 * RUNS)} | {"AGENTRY_MAX_CRASHES": str(crashes)}
    poison = cluster.start("poison", 1, "poison")
    neighbours = cluster.start("slow", RUNS, "neighbour")
    workers = [cluster.begin("", **limits)]
    killed: list[int] = []

    def revive() -> None:
        if not workers[0].is_alive:
            killed.append(workers[0].pid)
            workers[0] = cluster.begin("", **limits)

    def is_over() -> bool:
        revive()
        parked = cluster.desk.call("scenario:states", roots=poison) == {"paused": 1}
        return parked and bool(cluster.desk.call("verdict:settled", roots=neighbours)["is_settled"])

    wait_for(
        is_over,
        lambda: (
            f"{cluster.desk.call('scenario:states', roots=poison)}"
            f" {cluster.desk.call('scenario:states', roots=neighbours)} {cluster.last_words()}"
        ),
    )

    assert len(killed) == crashes
    reason = cluster.desk.call("verdict:reason", roots=poison)
    assert reason["error_code"] == "poison"
    assert f"Its worker died {crashes} times" in reason["reason"]
    cluster.check(neighbours)
