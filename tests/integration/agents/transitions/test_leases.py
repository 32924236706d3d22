"""Leases that end and people who cancel: from whom a run is taken, and who is only asked."""

from datetime import timedelta

import pytest

from agents.contracts import RunState
from agents.models import Run
from agents.transitions import leases_end, run_cancel_one, run_expire_lease
from core import clock, pausepoints
from core.errors import StaleStateError
from core.ids import new_id
from governance.models import Workspace
from tests.integration.agents.transitions.kit import a_run, last_event, snapshot

pytestmark = pytest.mark.django_db(transaction=True)
S = RunState


def test_a_lost_lease_queues_the_run_again(workspace: Workspace) -> None:
    run = a_run(workspace, S.RUNNING, lease_until=clock.now() - timedelta(seconds=1))

    assert run_expire_lease(run.pk, max_crashes=3)
    run.refresh_from_db()
    assert (run.state, run.crashes, run.worker_id, run.lease_until) == ("queued", 1, None, None)
    assert run.fence == 1
    sequence, kind, payload = last_event(run)
    assert (sequence, kind) == (run.head_sequence, "run.released")
    assert (payload["state"], payload["crashes"]) == ("queued", 1)


def test_a_run_that_kills_its_workers_is_parked(workspace: Workspace) -> None:
    past = clock.now() - timedelta(seconds=1)
    run = a_run(workspace, S.RUNNING, lease_until=past, crashes=2)

    assert run_expire_lease(run.pk, max_crashes=3)
    run.refresh_from_db()
    assert (run.state, run.error_code, run.crashes) == ("paused", "poison", 3)
    assert run.reason.startswith("Its worker died 3 times while driving it.")


@pytest.mark.parametrize("state", [S.RUNNING, S.QUEUED, S.SUCCEEDED])
def test_a_lease_that_holds_or_was_given_back_is_not_taken(
    workspace: Workspace, state: RunState
) -> None:
    run = a_run(workspace, state, lease_until=clock.now() + timedelta(minutes=1))
    before = snapshot(run)

    with pytest.raises(StaleStateError):
        run_expire_lease(run.pk, max_crashes=3)
    assert snapshot(run) == before


@pytest.mark.parametrize("state", [S.QUEUED, S.WAITING, S.PAUSED, S.YIELDED])
def test_cancelling_is_immediate_where_nobody_owns_the_run(
    workspace: Workspace, state: RunState
) -> None:
    run = a_run(workspace, state)

    assert run_cancel_one(run.pk, actor="ann")
    run.refresh_from_db()
    assert (run.state, run.reason, run.control_by, run.control) == (
        "cancelled",
        "Cancelled by ann.",
        "ann",
        "",
    )
    before = snapshot(run)
    with pytest.raises(StaleStateError, match="The run is cancelled by ann"):
        run_cancel_one(run.pk, actor="bob")
    assert snapshot(run) == before


def test_cancelling_asks_the_owner_and_the_first_wins(workspace: Workspace) -> None:
    run = a_run(workspace, S.RUNNING, control="pause")

    assert run_cancel_one(run.pk, actor="ann", reason="enough")
    run.refresh_from_db()
    assert (run.state, run.control, run.control_by) == ("running", "cancel", "ann")
    assert last_event(run)[1] == "run.control"
    assert last_event(run)[2] == {"control": "cancel", "by": "ann", "reason": "enough"}
    before = snapshot(run)
    with pytest.raises(StaleStateError, match="was already asked to cancel by ann"):
        run_cancel_one(run.pk, actor="bob")
    assert snapshot(run) == before


@pytest.mark.parametrize("moves", [1, 2])
def test_a_run_that_changes_hands_meanwhile_is_cancelled_all_the_same(
    workspace: Workspace, moves: int
) -> None:
    run = a_run(workspace, S.QUEUED)
    states = [S.RUNNING, S.WAITING][:moves]

    def change_hands() -> None:
        if states:
            Run.objects.filter(pk=run.pk).update(state=states.pop(0).value)

    with pausepoints.at("control.before_update", change_hands):
        assert run_cancel_one(run.pk, actor="ann")
    run.refresh_from_db()
    assert "cancel" in {run.control, run.state.removesuffix("led")}


def test_a_run_that_never_holds_still_is_given_up(workspace: Workspace) -> None:
    run = a_run(workspace, S.QUEUED)
    flips = [S.RUNNING, S.WAITING] * 5

    def flip() -> None:
        Run.objects.filter(pk=run.pk).update(state=flips.pop(0).value)

    with (
        pausepoints.at("control.before_update", flip),
        pytest.raises(StaleStateError, match="cannot be cancelled"),
    ):
        run_cancel_one(run.pk, actor="ann")
    assert last_event(run)[0] == 1


def test_a_dead_workers_leases_end_at_once(workspace: Workspace) -> None:
    later = clock.now() + timedelta(minutes=1)
    worker = new_id()
    mine = a_run(workspace, S.RUNNING, worker_id=worker, lease_until=later)
    others = a_run(workspace, S.RUNNING, lease_until=later)
    leases_end(worker)

    assert run_expire_lease(mine.pk, max_crashes=3)
    with pytest.raises(StaleStateError):
        run_expire_lease(others.pk, max_crashes=3)
