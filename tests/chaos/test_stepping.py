"""Kill -9 between a person's word and the call it lets go: the call is made, once, and no other."""

from typing import Any

import pytest

from tests.chaos.cluster import Cluster, Worker
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(240)


def _begin(desk: Cluster, order: str = "") -> Worker:
    return desk.begin_site(order) if desk.is_embedded else desk.begin(order)


def _where(desk: Cluster, run: str) -> dict[str, Any]:
    found: dict[str, Any] = desk.desk.call("stepping:where", run=run)
    return found


def _dies(desk: Cluster, order: str) -> None:
    worker = _begin(desk, order)
    wait_for(lambda: not worker.is_alive, lambda: f"it did not die: {desk.last_words()}")


def _held(desk: Cluster, run: str, reason: str) -> list[list[Any]]:
    """Have a worker bring the run to where it is held; end that worker."""
    worker = _begin(desk)
    wait_for(
        lambda: (_where(desk, run)["state"], _where(desk, run)["reason"]) == ("paused", reason),
        lambda: f"{_where(desk, run)}: {desk.last_words()}",
    )
    worker.kill()
    calls: list[list[Any]] = _where(desk, run)["calls"]
    return calls


def test_one_word_makes_one_call_whoever_dies_in_between(desk: Cluster) -> None:
    run = desk.desk.call("stepping:begin")
    _dies(desk, "step.before_hold:kill:1")
    assert _held(desk, run, "Held before model call 1 (step mode).") == []

    desk.desk.call("stepping:step", run=run)
    _dies(desk, "step.let_go:kill:1")
    calls = _held(desk, run, "Held before 2 calls (charge, mail) (step mode).")
    assert calls == [["charge", "planned", 0], ["mail", "planned", 0]]

    desk.desk.call("stepping:step", run=run)
    _dies(desk, "step.let_go:kill:1")
    calls = _held(desk, run, "Held before the call of mail (step mode).")
    assert calls == [["charge", "committed", 1], ["mail", "planned", 0]]

    desk.desk.call("stepping:go_on", run=run)
    _begin(desk)
    desk.settle([run])
    desk.check([run])
