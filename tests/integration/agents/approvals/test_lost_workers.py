"""A worker that is lost between the decision and the effect loses nothing and doubles nothing."""

import pytest

from agents.contracts import RunState
from core import pausepoints
from core.errors import UnavailableError
from governance.contracts import Actor
from governance.models import Approval, Workspace
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    parked,
    paying,
    publish,
)
from tests.integration.agents.execution.kit import Engine, check_invariants, ledger

# Lost runs are found at the next renewal. A lease that ran out on a busy machine would be a doubt.
LEASE = {"lease_seconds": 3.0, "poll_seconds": 0.1}
POINTS = (
    "run.after_claim",
    "approval.before_claim",
    "approval.after_claim",
    "dispatch.before_commit",
)


@pytest.mark.parametrize("point", POINTS)
def test_the_effect_happens_once(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor, point: str
) -> None:
    """The driver gives up at the point, as when its process dies there; another takes the run."""
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    decide(ann, approval)
    lost: list[str] = []

    def lose() -> None:
        if not lost:
            lost.append(point)
            raise UnavailableError("The worker is gone.")

    with pausepoints.at(point, lose):
        engine.start(**LEASE)
        run = engine.until(run)

    assert lost == [point]
    assert pay.ran == [{"amount": 7}]
    assert ledger(run) == [("pay", "committed")]
    assert Approval.objects.get(pk=approval.pk).used_at is not None
    check_invariants(run.pk)


def test_an_effect_that_may_have_happened_is_in_doubt_and_never_asked_about_again(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    publish(workspace, pay=ASK)
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    decide(ann, approval)
    lost: list[int] = []

    def lose() -> None:
        if not lost:
            lost.append(1)
            raise UnavailableError("The worker is gone.")

    with pausepoints.at("dispatch.after_commit", lose):
        engine.start(**LEASE)
        engine.until(run, RunState.WAITING, wait_kind="in_doubt")

    assert pay.ran == []
    assert ledger(run) == [("pay", "in_doubt")]
    assert Approval.objects.filter(run_id=run.pk, kind="tool_call").count() == 1
    check_invariants(run.pk)
