"""Nobody decides in time: the outcome is the one the policy chose, once."""

from datetime import timedelta
from typing import Any

import pytest

from agents.contracts import RunState
from agents.execution.sweep import sweep
from core import clock
from core.errors import StaleStateError
from governance.contracts import Actor
from governance.models import Approval, Workspace
from tests.integration.agents.approvals.kit import (
    ASK,
    PayTool,
    decide,
    parked,
    paying,
    person,
    publish,
)
from tests.integration.agents.execution.kit import Engine, check_invariants, kinds, ledger, told

LATER = timedelta(hours=2)


def asked(engine: Engine, workspace: Workspace, **changes: Any) -> tuple[Any, Approval]:
    """A run that waits for an hour, and no engine that sweeps."""
    publish(workspace, pay={**ASK, "expires_seconds": 3_600.0, **changes})
    run = paying(workspace)
    (approval,) = parked(engine, run)
    engine.stop()
    return run, approval


def test_by_default_silence_is_a_no(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    run, approval = asked(engine, workspace)
    assert sweep().undecided == 0
    with clock.shifted(LATER):
        with pytest.raises(StaleStateError, match="is expired"):
            decide(ann, approval)
        assert sweep().undecided == 1
        assert sweep().undecided == 0
        run = engine.play(run)

    assert (pay.ran, ledger(run)) == ([], [("pay", "expired")])
    assert told(run)[-2] == (
        "error The call was not approved in time. Nobody decided in time. Nothing was done."
    )
    approval.refresh_from_db()
    assert (approval.state, approval.surface) == ("expired", "expiry")
    with pytest.raises(StaleStateError, match="is expired: Nobody"):
        decide(ann, approval)
    check_invariants(run.pk)


def test_silence_may_mean_yes(engine: Engine, workspace: Workspace, pay: PayTool) -> None:
    run, approval = asked(engine, workspace, on_expiry="allow_default")
    with clock.shifted(LATER):
        sweep()
        run = engine.play(run)

    assert pay.ran == [{"amount": 7}]
    approval.refresh_from_db()
    assert (approval.state, approval.decided_by_name, approval.reason) == (
        "approved",
        "",
        "Nobody decided in time. The policy allows it then.",
    )
    check_invariants(run.pk)


def test_others_are_asked_once_and_then_silence_is_a_no(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    escalates = {"on_expiry": "escalate", "approvers": ["user:ann"], "escalate_to": ["user:ben"]}
    run, approval = asked(engine, workspace, **escalates)
    ben = person(workspace, "ben")
    with clock.shifted(LATER):
        sweep()
        approval.refresh_from_db()
        assert (approval.state, approval.approvers) == ("pending", ["user:ben"])
        assert kinds(run)[-1] == "approval.noted"
        with pytest.raises(Exception, match="user:ben to decide"):
            decide(ann, approval)
        assert sweep().undecided == 0
        decide(ben, approval)
        engine.play(run)
    assert pay.ran == [{"amount": 7}]

    second, again = asked(engine, workspace, **escalates)
    with clock.shifted(LATER):
        sweep()
    with clock.shifted(2 * LATER):
        sweep()
        engine.play(second)
    assert Approval.objects.get(pk=again.pk).state == "expired"
    assert len(pay.ran) == 1


def test_a_question_may_wait_on_for_ever(
    engine: Engine, workspace: Workspace, pay: PayTool, ann: Actor
) -> None:
    run, approval = asked(engine, workspace, on_expiry="park")
    with clock.shifted(LATER):
        sweep()
        sweep()
    run.refresh_from_db()
    assert (run.state, run.wait_kind) == (RunState.WAITING, "approval")
    with clock.shifted(timedelta(days=400)):
        decide(ann, approval)
        engine.play(run)
    assert pay.ran == [{"amount": 7}]
