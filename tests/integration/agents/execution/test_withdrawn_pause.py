"""A resume before the run has paused: the request is withdrawn, by one person, and nothing is lost.

The engine is held at pause points while people act, so that each order of events is a test.
"""

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from agents.contracts import Control, RunState
from agents.execution import cancelling
from agents.execution.sweep import sweep
from agents.models import Run
from agents.selectors.why import why
from agents.services.runs import control, run_cancel, run_pause, run_resume
from agents.services.runs.rows import controlled
from agents.transitions import run_move
from core import clock
from core.errors import StaleStateError
from core.ids import new_id
from governance.contracts import Actor
from governance.models import Workspace
from observability.models import TraceEvent
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    held_at,
    script_agent,
)

S = RunState
CROWD = 100
SCRIPT = """
steps:
  - tool_calls: [{name: echo, arguments: {text: "one"}}]
  - text: "Done."
"""


def about_to_pause(workspace: Workspace, state: RunState = S.RUNNING, **fields: Any) -> Run:
    """A run that a worker has, or has just let go, with a request to pause nobody heeded yet."""
    script_agent(workspace, SCRIPT)
    run = begin(workspace)
    if state is S.RUNNING:
        fields = {"worker_id": new_id(), "lease_until": clock.now(), "fence": 1, **fields}
    asked = {"control": Control.PAUSE.value, "control_by": "ann"}
    Run.objects.filter(pk=run.pk).update(state=state.value, **{**asked, **fields})
    run.refresh_from_db()
    return run


def controls(run: Run) -> list[tuple[str, str]]:
    events = TraceEvent.objects.filter(run_id=run.pk, kind="run.control").order_by("sequence")
    return [(event.payload["control"], event.payload["by"]) for event in events]


def row(run: Run) -> dict[str, Any]:
    return dict(Run.objects.filter(pk=run.pk).values().get())


def test_a_worker_that_has_not_heard_of_the_pause_goes_on(
    engine: Engine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It looks many times a second here, and would hear of the pause before it is withdrawn.
    monkeypatch.setattr(cancelling, "asked_of", lambda _worker_id: [])
    script_agent(workspace, SCRIPT)
    run = begin(workspace)
    with held_at("result.before_commit") as gate:
        engine.start()
        gate.wait()
        run_pause(actor=boss(), run_id=run.pk)
        resumed = run_resume(actor=boss(), run_id=run.pk)
        gate.open()
        engine.until(run, S.SUCCEEDED)

    assert (resumed.state, resumed.control) == ("running", "resume")
    assert (run.output, run.control, run.fence) == ("Done.", "", 1)
    assert controls(run) == [("pause", "boss"), ("resume", "boss")]
    check_invariants(run.pk)


def test_a_worker_that_has_heard_of_it_parks_the_run_and_it_goes_on_all_the_same(
    engine: Engine, workspace: Workspace
) -> None:
    script_agent(workspace, SCRIPT)
    run = begin(workspace)
    with held_at("result.before_commit") as before, held_at("result.after_commit") as after:
        engine.start()
        before.wait()
        run_pause(actor=boss(), run_id=run.pk)
        before.open()
        after.wait()  # its commit has told the worker of the pause
        run_resume(actor=boss(), run_id=run.pk)
        after.open()
        engine.until(run, S.SUCCEEDED)

    states = [
        event.payload["state"]
        for event in TraceEvent.objects.filter(run_id=run.pk, kind="run.state").order_by("sequence")
    ]
    assert states == ["paused", "queued", "succeeded"]
    assert (run.output, run.control, run.fence) == ("Done.", "", 2)
    check_invariants(run.pk)


def test_a_pause_after_the_withdrawal_holds(engine: Engine, workspace: Workspace) -> None:
    script_agent(workspace, SCRIPT)
    run = begin(workspace)
    with held_at("result.before_commit") as gate:
        engine.start()
        gate.wait()
        run_pause(actor=boss(), run_id=run.pk)
        run_resume(actor=boss(), run_id=run.pk)
        run_pause(actor=boss(), run_id=run.pk)
        gate.open()
        engine.until(run, S.PAUSED, control="")
    sweep()

    assert row(run)["state"] == "paused"
    run_resume(actor=boss(), run_id=run.pk)
    engine.until(run, S.SUCCEEDED)
    check_invariants(run.pk)


def test_a_worker_that_parks_the_run_meanwhile_leaves_a_plain_resume(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = about_to_pause(workspace)

    def read_before_it_parks(actor: Actor, run_id: UUID) -> Run:
        seen = controlled(actor, run_id)
        Run.objects.filter(pk=run.pk).update(state="paused", control="", worker_id=None)
        return seen

    monkeypatch.setattr(control, "controlled", read_before_it_parks)
    resumed = run_resume(actor=boss(), run_id=run.pk)

    assert (resumed.state, resumed.control, resumed.control_by) == ("queued", "", "boss")
    check_invariants(run.pk)


@pytest.mark.parametrize("state", [S.QUEUED, S.WAITING])
def test_a_pause_that_its_owner_left_behind_is_withdrawn(
    workspace: Workspace, state: RunState
) -> None:
    run = about_to_pause(workspace, state)
    resumed = run_resume(actor=boss(), run_id=run.pk)
    sweep()

    assert (resumed.state, resumed.control) == (state.value, "resume")
    assert row(run)["state"] == state.value


def test_a_sweep_that_meant_to_pause_the_run_heeds_the_withdrawal(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = about_to_pause(workspace, S.WAITING)

    def move_too_late(**move: Any) -> Run:
        run_resume(actor=boss(), run_id=run.pk)
        return run_move(**move)

    monkeypatch.setattr("agents.execution.sweep.run_move", move_too_late)
    swept = sweep()

    assert swept.unheeded == 0
    assert (row(run)["state"], row(run)["control"]) == ("waiting", "resume")


@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED])
def test_the_second_to_resume_hears_who_was_first(workspace: Workspace, state: RunState) -> None:
    asked = {"control": "resume", "control_by": "bob"}
    run = about_to_pause(workspace, state, **asked)
    before = row(run)

    with pytest.raises(StaleStateError, match="was already asked to resume by bob"):
        run_resume(actor=boss(), run_id=run.pk)
    assert row(run) == before
    assert controls(run) == []


def test_what_was_paused_for_a_reason_of_its_own_waits_for_a_person(workspace: Workspace) -> None:
    run = about_to_pause(workspace, S.PAUSED, control="resume", error_code="blocked")
    sweep()
    assert row(run)["state"] == "paused"

    assert run_resume(actor=boss(), run_id=run.pk).state == "queued"


def test_limits_cannot_change_while_a_worker_has_the_run(workspace: Workspace) -> None:
    run = about_to_pause(workspace)
    before = row(run)

    with pytest.raises(StaleStateError, match="has not paused yet; its limits cannot change"):
        run_resume(actor=boss(), run_id=run.pk, limits={"max_iterations": 90})
    assert row(run) == before


def test_a_cancel_overrules_the_withdrawal(workspace: Workspace) -> None:
    run = about_to_pause(workspace)
    run_resume(actor=boss(), run_id=run.pk)
    told = why(Run.objects.get(pk=run.pk)).reasons
    run_cancel(actor=boss(), run_id=run.pk)

    assert "The request to pause it was withdrawn by boss; it goes on." in [
        reason.sentence for reason in told
    ]
    assert row(run)["control"] == "cancel"
    with pytest.raises(StaleStateError, match="asked to cancel by boss"):
        run_resume(actor=boss(), run_id=run.pk)


def test_of_a_hundred_who_resume_at_once_one_wins(engine: Engine, workspace: Workspace) -> None:
    run = about_to_pause(workspace, lease_until=clock.now() + timedelta(minutes=5))
    owner = boss()
    barrier = threading.Barrier(CROWD)
    heard: list[str] = []

    def resume(number: int) -> None:
        actor = Actor(user_id=owner.user_id, username=f"person-{number}", is_superuser=True)
        barrier.wait(60)
        try:
            run_resume(actor=actor, run_id=run.pk)
            heard.append(f"won {actor.username}")
        except StaleStateError as error:
            heard.append(f"lost to {error.detail['by']}")
        finally:
            connection.close()

    threads = [threading.Thread(target=resume, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    run.refresh_from_db()
    assert sorted(heard) == sorted(
        [f"won {run.control_by}"] + [f"lost to {run.control_by}"] * (CROWD - 1)
    )
    assert (run.state, run.control) == ("running", "resume")
    assert controls(run) == [("resume", run.control_by)]
    Run.objects.filter(pk=run.pk).update(lease_until=clock.now())  # its worker was never there
    engine.play(run)
    assert run.state == "succeeded"
