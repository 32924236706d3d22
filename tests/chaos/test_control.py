"""People and runs at the same time: of many who steer one wins, and runs obey at a boundary."""

from collections.abc import Callable

import pytest

from tests.chaos.cluster import Cluster, Worker
from tests.waiting import wait_for

CROWD = 100
LONG_FORM_SEEDS = 100
pytestmark = pytest.mark.timeout(240)
ONE_WINNER = {"won": 1, "stale": CROWD - 1, "named": CROWD - 1, "others": []}


def _worker(desk: Cluster, **environment: str) -> Worker:
    """Start an engine of the kind this database is for."""
    calm = {"AGENTRY_LEASE_SECONDS": "30"} | environment
    begin: Callable[..., Worker] = desk.begin_site if desk.is_embedded else desk.begin
    return desk.ready(begin("", **calm))


def _states(desk: Cluster, roots: list[str]) -> dict[str, int]:
    states: dict[str, int] = desk.desk.call("scenario:states", roots=roots)
    return states


def _until(desk: Cluster, roots: list[str], wanted: dict[str, int]) -> float:
    return wait_for(
        lambda: _states(desk, roots) == wanted,
        lambda: f"{_states(desk, roots)}, not {wanted}: {desk.last_words()}",
    )


def _begun(desk: Cluster, roots: list[str], calls: int = 1) -> None:
    wait_for(
        lambda: desk.desk.call("verdict:progress", roots=roots)["settled_calls"] >= calls,
        lambda: f"nothing began: {desk.last_words()}",
    )


@pytest.mark.parametrize("is_running", [False, True])
def test_of_a_hundred_cancels_one_wins(desk: Cluster, is_running: bool) -> None:
    assert desk.desk.call("races:cancels", count=CROWD, is_running=is_running) == ONE_WINNER


def test_of_a_hundred_pauses_one_wins(desk: Cluster) -> None:
    assert desk.desk.call("races:pauses", count=CROWD) == ONE_WINNER


def test_of_a_hundred_resumes_one_wins(desk: Cluster) -> None:
    assert desk.desk.call("races:resumes", count=CROWD) == ONE_WINNER


def test_of_a_hundred_verdicts_on_a_call_in_doubt_one_counts(desk: Cluster) -> None:
    heard = desk.desk.call("races:resolves", count=CROWD)

    assert heard == ONE_WINNER | {"events": 1, "state": "queued"}


def test_cancelling_a_tree_is_confirmed_by_every_child(desk: Cluster) -> None:
    _worker(desk)
    roots = desk.start("boss", 1, "cancel the tree")
    _until(desk, roots, {"running": 2, "waiting:children": 1})

    desk.desk.call("races:cancel", run=roots[0])

    _until(desk, roots, {"cancelled": 3})
    desk.check(roots)


def test_a_yielded_run_goes_on_with_a_raised_limit_and_not_without(desk: Cluster) -> None:
    _worker(desk)
    run = desk.desk.call("races:limited", agent="crew", limits={"max_iterations": 2})
    wait_for(lambda: "yielded" in _states(desk, [run]), lambda: f"{_states(desk, [run])}")

    refusal = desk.desk.call("races:resume", run=run)
    states = _states(desk, [run])
    accepted = desk.desk.call("races:resume", run=run, limits={"max_iterations": 9})

    assert "yielded at max_iterations 2" in refusal
    assert states["yielded"] == 1
    assert accepted == ""
    desk.settle([run])
    assert _states(desk, [run]) == {"succeeded": 2}
    desk.check([run])


def test_a_run_pauses_at_a_step_boundary_and_goes_on_from_there(desk: Cluster) -> None:
    _worker(desk)
    roots = desk.start("slow", 1, "pause")
    _begun(desk, roots)

    desk.desk.call("races:pause", run=roots[0])
    _until(desk, roots, {"paused": 1})
    paused_at = desk.desk.call("races:summary", run=roots[0])
    desk.desk.call("races:resume", run=roots[0])
    desk.settle(roots)

    assert 1 <= paused_at["iteration"] < 16
    assert desk.desk.call("verdict:strangers", roots=roots) == []
    assert _states(desk, roots) == {"succeeded": 1}
    desk.check(roots)


def test_a_run_ends_when_its_wall_time_is_over(desk: Cluster) -> None:
    _worker(desk)
    run = desk.desk.call("races:limited", agent="slow", limits={"wall_seconds": 1.5})
    _until(desk, [run], {"failed": 1})

    found = desk.desk.call("races:summary", run=run)

    assert found["error_code"] == "deadline_exceeded"
    assert desk.desk.call("verdict:open_calls", roots=[run]) == []


@pytest.mark.parametrize("strategy", ["reject", "enqueue", "interrupt", "rollback"])
def test_a_conversation_has_one_active_run_whatever_comes_at_once(
    desk: Cluster, strategy: str
) -> None:
    _worker(desk)
    count = 12

    heard = desk.desk.call("races:talk", strategy=strategy, count=count)
    roots = heard["roots"]
    desk.settle(roots)

    order = desk.desk.call("races:order", roots=roots)
    assert heard["others"] == []
    assert order["overlaps"] == []
    assert order["is_in_order"]
    assert order["states"][-1] == "succeeded"
    if strategy == "reject":
        assert heard["won"] == len(roots)
        assert heard["won"] + heard["stale"] == count
    else:
        assert len(roots) == count
    if strategy == "enqueue":
        assert order["states"] == ["succeeded"] * count
    if strategy != "rollback":
        assert not any(order["rolled_back"])
    desk.check(roots)


def test_forks_of_every_checkpoint_finish_and_the_end_cannot_be_forked(desk: Cluster) -> None:
    _worker(desk)
    roots = desk.start("crew", 1, "fork")
    desk.settle(roots)
    forked = desk.desk.call("races:forks", run=roots[0])
    lost = desk.desk.call("races:interrupted_fork", run=roots[0])

    desk.settle(forked["roots"])

    assert len(forked["refused"]) == 1
    assert len(forked["roots"]) >= 8
    assert lost["before"] == lost["after"]
    assert set(_states(desk, forked["roots"])) == {"succeeded"}
    desk.check(roots + forked["roots"])


def test_a_replay_says_the_same_and_does_nothing(desk: Cluster) -> None:
    _worker(desk)
    roots = desk.start("crew", 1, "replay")
    desk.settle(roots)
    effects = desk.server.record.read_text()

    replayed = desk.desk.call("races:replay", run=roots[0])
    desk.settle([replayed])

    assert _states(desk, [replayed]) == {"succeeded": 1}
    assert desk.desk.call("races:histories_equal", first=roots[0], second=replayed)
    assert desk.server.record.read_text() == effects


def test_many_parked_runs_hold_no_place(
    desk: Cluster, seeds: range, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifty times as many as there are places, and a thousand in the long form."""
    count = 1000 if len(seeds) >= LONG_FORM_SEEDS else 200
    _worker(desk, AGENTRY_WORKER_CAPACITY="4")
    parked = desk.start("parked", count, "parked")
    _until(desk, parked, {"waiting:timer": count})

    late = desk.start("assistant", 1, "late")
    desk.settle(late)

    found = desk.desk.call("races:summary", run=late[0])
    kind = "SQLite" if desk.is_embedded else "PostgreSQL"
    with capsys.disabled():
        print(f"\n{kind}: beside {count} parked runs a new one took {found['seconds']:.2f} s")  # noqa: T201
    assert found["state"] == "succeeded"
    assert _states(desk, parked) == {"waiting:timer": count}
