"""Who is woken when a run ends: its parent, and the next in the line of its session."""

import pytest

from agents.contracts import RunState, SessionStrategy
from agents.models import Run, Session
from agents.transitions import run_move, run_wake_parent, run_wake_session
from core import pausepoints
from governance.models import Workspace
from tests.factories.agents import make_agent, make_session
from tests.integration.agents.transitions.kit import a_run

pytestmark = pytest.mark.django_db(transaction=True)
S = RunState


def test_the_last_child_wakes_its_parent(workspace: Workspace) -> None:
    parent = a_run(workspace, S.WAITING, wait_kind="children")
    children = [a_run(workspace, S.PAUSED, parent=parent) for _ in range(2)]
    run_move(run_id=children[0].pk, target=S.CANCELLED)
    parent.refresh_from_db()
    assert parent.state == "waiting"
    assert not run_wake_parent(parent.pk)

    run_move(run_id=children[1].pk, target=S.FAILED)
    parent.refresh_from_db()
    assert (parent.state, parent.wait_kind) == ("queued", "")
    assert not run_wake_parent(parent.pk)


def a_line(workspace: Workspace) -> tuple[Session, Run, Run, Run]:
    make_agent(workspace)
    session = make_session(workspace, strategy=SessionStrategy.ENQUEUE.value)
    active = a_run(workspace, S.PAUSED, session=session)
    turn = {"session": session, "wait_kind": "turn"}
    return (
        session,
        active,
        a_run(workspace, S.WAITING, **turn),
        a_run(workspace, S.WAITING, **turn),
    )


def test_the_end_of_a_turn_wakes_the_oldest_in_line(workspace: Workspace) -> None:
    session, active, following, last = a_line(workspace)
    assert not run_wake_session(session.pk)
    run_move(run_id=active.pk, target=S.CANCELLED)

    for run in (following, last):
        run.refresh_from_db()
    assert [following.state, last.state] == ["queued", "waiting"]
    assert not run_wake_session(session.pk)


def test_a_free_session_without_a_line_wakes_nobody(workspace: Workspace) -> None:
    make_agent(workspace)

    assert not run_wake_session(make_session(workspace).pk)


def test_a_new_run_that_takes_the_session_meanwhile_is_no_error(workspace: Workspace) -> None:
    session, active, following, last = a_line(workspace)
    Run.objects.filter(pk=active.pk).update(state="cancelled")
    taken: list[Run] = []

    def take() -> None:
        if not taken:
            taken.append(last)
            Run.objects.filter(pk=last.pk).update(state="queued", wait_kind="")

    with pausepoints.at("control.before_update", take):
        assert not run_wake_session(session.pk)
    following.refresh_from_db()
    assert (following.state, following.head_sequence) == ("waiting", 1)
