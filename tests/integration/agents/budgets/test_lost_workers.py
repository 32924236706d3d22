"""A worker that is lost around a model call neither loses what it cost nor counts it twice."""

from decimal import Decimal

import pytest

from agents.execution.funding import reservations_abandoned
from agents.models import Run
from agents.services.runs import run_cancel
from core import pausepoints
from core.errors import UnavailableError
from governance.contracts import Actor
from governance.models import Reservation, Workspace
from governance.services.spending import reservations_release
from tests.integration.agents.budgets.kit import (
    AT_MOST,
    CHARGE,
    NOTHING,
    budget,
    priced_agent,
    reservations,
    standing,
)
from tests.integration.agents.execution.kit import Engine, begin, boss, check_invariants
from tests.waiting import wait_for

LEASE = {"lease_seconds": 3.0, "poll_seconds": 0.1}
FAILING = "steps: [{error: {kind: request, message: no}}]"


@pytest.mark.parametrize(
    "point",
    [
        "budget.before_commit",  # nothing is set aside
        "budget.after_commit",  # it is, and the model was not asked
        "step.after_model",  # the answer is known to the lost worker only
        "run.before_finish",
    ],
)
def test_a_call_that_is_asked_again_counts_once(
    engine: Engine, workspace: Workspace, ada: Actor, point: str
) -> None:
    priced_agent(workspace)
    budget(ada, workspace, "0.01")  # room for exactly one call
    lost: list[str] = []

    def lose() -> None:
        if not lost:
            lost.append(point)
            raise UnavailableError("The worker is gone.")

    with pausepoints.at(point, lose):
        engine.start(**LEASE)
        run = engine.until(begin(workspace))

    assert lost == [point]
    assert (run.state, run.cost_usd) == ("succeeded", CHARGE)
    assert standing() == (CHARGE, NOTHING)
    assert reservations(run) == [(0, "settled", CHARGE)]
    check_invariants(run.pk)


def test_an_answer_is_durable_and_paid_for_in_one_commit(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    """There is no moment between the two: the journal's transaction holds both or neither."""
    priced_agent(workspace)
    budget(ada, workspace, "0.01")
    seen: list[tuple[str, Decimal]] = []

    def look() -> None:
        states = Run.objects.values_list("state", flat=True)
        seen.append((states.get(), standing()[0]))

    run = begin(workspace)
    with pausepoints.at("journal.after_commit", look):
        engine.start()
        engine.until(run)
        engine.stop()

    assert set(seen) == {("succeeded", CHARGE)}


def test_what_a_dead_worker_has_set_aside_is_given_back_by_the_sweep(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    """Also when the run never goes on: it is cancelled before anybody takes it up again."""
    priced_agent(workspace)
    budget(ada, workspace, "0.01")
    run = begin(workspace)
    lost: list[str] = []

    def lose() -> None:
        lost.append("once")
        raise UnavailableError("The worker is gone.")

    with pausepoints.at("budget.after_commit", lose):
        host = engine.start()
        wait_for(lambda: lost, lambda: "nothing was set aside")
        engine.until_idle(host)
        engine.stop()
    assert standing() == (NOTHING, AT_MOST)
    Run.objects.filter(pk=run.pk, state="running").update(lease_until=run.created_at)
    assert reservations_abandoned() == 0, "its worker may yet come back"

    Run.objects.filter(pk=run.pk).update(state="queued", worker_id=None, lease_until=None)
    run_cancel(actor=boss(), run_id=run.pk)

    assert (reservations_abandoned(), reservations_abandoned()) == (1, 0)
    assert standing() == (NOTHING, NOTHING)
    assert reservations(run) == [(0, "released", None)]


def test_a_sweep_does_not_take_a_newer_reservation_for_the_lost_one(
    engine: Engine, workspace: Workspace, ada: Actor
) -> None:
    """The sweep has read the old row when the next worker sets money aside for the same call."""
    priced_agent(workspace)
    budget(ada, workspace, "0.01")
    run = begin(workspace)
    stale: list[Reservation] = []

    def lose() -> None:
        if not stale:
            stale.append(Reservation.objects.get())
            raise UnavailableError("The worker is gone.")
        assert reservations_release(stale) == 0
        assert standing() == (NOTHING, AT_MOST)

    with pausepoints.at("budget.after_commit", lose):
        engine.start(**LEASE)
        engine.until(run)

    assert standing() == (CHARGE, NOTHING)


def test_a_model_that_fails_costs_nothing(engine: Engine, workspace: Workspace, ada: Actor) -> None:
    priced_agent(workspace, script=FAILING)
    budget(ada, workspace, "0.01")
    run = engine.play(begin(workspace))

    assert run.state == "failed"
    assert standing() == (NOTHING, NOTHING)
    assert reservations(run) == [(0, "released", None)]
