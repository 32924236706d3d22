"""Runs that a worker holds and does not drive are found at its next renewal."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError

from agents.contracts import RunState
from agents.execution import claiming
from core import pausepoints
from core.errors import UnavailableError
from governance.models import Workspace
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    check_invariants,
    kinds,
    script_agent,
)
from tests.waiting import wait_for

TWO_STEPS = "steps: [{text: one, finish: continue}, {text: two}]"
# Renewals every second. A lease that ran out on a busy machine would be one claim more.
LEASE = {"lease_seconds": 3.0, "poll_seconds": 0.1}
LEASE_LENGTH = timedelta(seconds=LEASE["lease_seconds"])
# Where a run is claimed again and again, and nobody counts how often.
SHORT_LEASE = LEASE | {"lease_seconds": 0.9}


def once(error: Exception) -> Callable[[], None]:
    """A handler that raises at its first visit."""
    left = [error]

    def fail() -> None:
        if left:
            raise left.pop()

    return fail


def test_runs_of_a_claim_whose_answer_was_lost_are_claimed_again(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, TWO_STEPS)
    run = begin(workspace)
    with pausepoints.at("run.after_claim", once(OperationalError("the connection broke"))):
        engine.start(**LEASE)
        engine.until(run)

    assert (run.state, run.output, run.fence) == ("succeeded", "two", 2)
    assert kinds(run).count("run.claimed") == 2
    check_invariants(run.pk)


def test_leases_are_renewed_while_the_database_keeps_somebody_waiting(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, TWO_STEPS)
    run = begin(workspace)
    may_go_on = threading.Event()

    def hold() -> None:
        may_go_on.wait(120)

    def is_renewed_for_a_whole_lease() -> bool:
        run.refresh_from_db()
        return run.lease_until is not None and run.lease_until >= first + LEASE_LENGTH

    with pausepoints.at("run.after_claim", hold):
        engine.start(**LEASE)
        engine.until(run, RunState.RUNNING)
        assert run.lease_until is not None
        first = run.lease_until
        try:
            wait_for(is_renewed_for_a_whole_lease, lambda: f"{run.state} until {run.lease_until}")
        finally:
            may_go_on.set()
        engine.until(run)

    assert (run.state, run.fence) == ("succeeded", 1)
    check_invariants(run.pk)


def test_a_run_whose_driver_gave_up_is_claimed_again(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, TWO_STEPS)
    run = begin(workspace)
    with pausepoints.at("journal.before_commit", once(UnavailableError("The database is away."))):
        engine.start(**LEASE)
        engine.until(run)

    assert (run.state, run.output, run.fence) == ("succeeded", "two", 2)
    check_invariants(run.pk)


def test_a_run_that_cannot_be_loaded_is_parked_in_the_end_and_its_neighbour_is_not(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    script_agent(workspace, TWO_STEPS)
    script_agent(workspace, TWO_STEPS, name="broken")
    good, bad = begin(workspace), begin(workspace, agent="broken")
    load = claiming._loaded

    def loaded(runs: object) -> object:
        if any(run.agent_name == "broken" for run in runs):  # type: ignore[attr-defined]
            raise ValueError("This snapshot makes no sense.")
        return load(runs)  # type: ignore[arg-type]

    monkeypatch.setattr(claiming, "_loaded", loaded)
    engine.start(**SHORT_LEASE)
    engine.until(bad, RunState.PAUSED)
    engine.until(good)

    assert (bad.error_code, good.state) == ("poison", "succeeded")
