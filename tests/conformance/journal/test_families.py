"""What every journal writer owes parents, children, sessions and callers who repeat themselves."""

import threading
from typing import Any

from agents.contracts import RunState
from agents.journal.journal import Journal
from agents.journal.records import (
    Born,
    Committed,
    Lost,
)
from agents.models import Run
from agents.services.sessions import session_create
from agents.transitions import run_move
from core import pausepoints
from governance.contracts import SYSTEM
from governance.models import Workspace
from plugins.models import ToolCall
from tests.conformance.journal.kit import (
    Heads,
    birth,
    call_row,
    entry,
    events,
    is_dense,
    make_writer,
    move,
    run_row,
    running,
    together,
)
from tests.factories.agents import make_agent
from tests.factories.governance import make_user


def test_children_are_born_with_the_entry(
    journal: Journal, heads: Heads, workspace: Workspace
) -> None:
    parent = running(workspace)
    call = call_row(parent, state="dispatched")
    journal.submit(entry(parent, planned=(call,))).result()
    child = run_row(
        workspace, parent_id=parent.pk, parent_call_id=call.id, root_id=parent.pk, depth=1
    )
    wait = {"kind": "children", "child_run_id": str(child.id)}
    journal.submit(
        entry(parent, moved=(move(call, "dispatched", "waiting", wait=wait),), children=(child,))
    ).result()

    born = Run.objects.get(pk=child.id)
    assert (born.state, born.parent_id, born.root_id, born.fence) == (
        "queued",
        parent.pk,
        parent.pk,
        0,
    )
    assert (born.limits, born.head_sequence, born.output) == ({"max_cost_usd": "1.50"}, 1, "")
    assert events(child.id) == [(1, "run.created")]
    assert heads.of(child.id) == [1]
    assert ToolCall.objects.get(pk=call.id).wait == wait


def test_a_child_of_a_stale_parent_is_not_born(journal: Journal, workspace: Workspace) -> None:
    parent = running(workspace, fence=2)
    child = run_row(workspace, parent_id=parent.pk, root_id=parent.pk)

    assert isinstance(journal.submit(entry(parent, children=(child,))).result(), Lost)
    assert not Run.objects.filter(pk=child.id).exists()


def test_births_are_once_per_key(journal: Journal, heads: Heads, workspace: Workspace) -> None:
    plain = birth(workspace)
    keyed = {"requested_by_id": make_user("ann").pk, "idempotency_key": "k"}
    first = birth(workspace, request_digest="d1", **keyed)
    same = birth(workspace, request_digest="d1", **keyed)
    other = birth(workspace, request_digest="d2", **keyed)

    outcomes = [each.result() for each in together(journal, plain, first, same, other)]
    again = journal.submit(first).result()

    older: dict[str, Any] = {"existing_id": first.run.id, "existing_digest": "d1"}
    assert outcomes == [
        Born(plain.run.id),
        Born(first.run.id),
        Born(same.run.id, **older),
        Born(other.run.id, **older),
    ]
    assert again == Born(first.run.id)
    assert Run.objects.count() == 2
    assert events(first.run.id) == [(1, "run.created")]
    assert heads.of(same.run.id) == []


def test_a_birth_that_fails_repeats_nothing_of_its_neighbours(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)
    good, bad = birth(workspace), birth(workspace, agent_name=None)
    futures = together(journal, entry(run), good, bad, entry(run, "step.retry"))

    assert [future.exception() is None for future in futures] == [True, True, False, True]
    assert events(run.pk) == [(1, "run.created"), (2, "step.model"), (3, "step.retry")]
    assert events(good.run.id) == [(1, "run.created")]
    assert not Run.objects.filter(pk=bad.run.id).exists()


def waiting_parent(workspace: Workspace, children: int) -> tuple[Run, list[Run]]:
    parent = running(workspace, state="waiting", wait_kind="children", worker_id=None)
    return parent, [running(workspace, parent=parent) for _ in range(children)]


def test_the_last_child_wakes_its_parent(journal: Journal, workspace: Workspace) -> None:
    parent, (first, second) = waiting_parent(workspace, 2)
    journal.submit(entry(first, state="succeeded")).result()
    parent.refresh_from_db()
    assert parent.state == "waiting"

    journal.submit(entry(second, state="failed")).result()
    parent.refresh_from_db()
    assert (parent.state, parent.wait_kind) == ("queued", "")
    assert events(parent.pk) == [(1, "run.created"), (2, "run.state")]
    assert is_dense(parent.pk)


def test_children_that_end_in_one_batch_wake_their_parent_once(
    journal: Journal, workspace: Workspace
) -> None:
    parent, children = waiting_parent(workspace, 2)
    for future in together(journal, *(entry(child, state="succeeded") for child in children)):
        future.result()

    parent.refresh_from_db()
    assert parent.state == "queued"
    assert len(events(parent.pk)) == 2


def test_a_parent_that_parks_after_its_child_ended_is_woken_at_once(
    journal: Journal, workspace: Workspace
) -> None:
    parent = running(workspace)
    child = running(workspace, parent=parent)
    journal.submit(entry(child, state="succeeded")).result()
    journal.submit(entry(parent, state="waiting", wait_kind="children")).result()

    parent.refresh_from_db()
    assert parent.state == "queued"
    assert is_dense(parent.pk)


def test_two_children_ending_at_once_in_two_transactions_wake_their_parent(
    workspace: Workspace,
) -> None:
    """The first stands still before its commit; the second ends meanwhile in another journal."""
    parent, (first, second) = waiting_parent(workspace, 2)
    journals = [Journal(make_writer(), on_commit=lambda heads: None) for _ in range(2)]
    reached, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        if not reached.is_set():
            reached.set()
            go_on.wait(20)

    try:
        with pausepoints.at("journal.before_commit", stand_still):
            one = journals[0].submit(entry(first, state="succeeded"))
            assert reached.wait(20)
            two = journals[1].submit(entry(second, state="succeeded"))
            go_on.set()
            assert isinstance(one.result(20), Committed)
            assert isinstance(two.result(20), Committed)
    finally:
        go_on.set()
        for journal in journals:
            journal.close()

    parent.refresh_from_db()
    assert parent.state == "queued"
    assert len(events(parent.pk)) == 2


def test_a_child_that_a_person_cancels_and_one_that_ends_wake_their_parent(
    journal: Journal, workspace: Workspace
) -> None:
    parent, (first, second) = waiting_parent(workspace, 2)
    Run.objects.filter(pk=first.pk).update(state="paused")
    journal.submit(entry(second, state="succeeded")).result()
    run_move(run_id=first.pk, target=RunState.CANCELLED)

    parent.refresh_from_db()
    assert parent.state == "queued"
    assert is_dense(parent.pk)


def in_session(workspace: Workspace) -> tuple[Run, Run, Run]:
    make_agent(workspace)
    session = session_create(actor=SYSTEM, workspace=workspace, agent="helper")
    active = running(workspace, session=session)
    turn = {"state": "waiting", "wait_kind": "turn", "worker_id": None}
    return (
        active,
        running(workspace, session=session, **turn),
        running(workspace, session=session, **turn),
    )


def test_the_end_of_a_turn_wakes_the_next_in_line(journal: Journal, workspace: Workspace) -> None:
    active, following, last = in_session(workspace)
    journal.submit(entry(active, state="waiting", wait_kind="timer")).result()
    following.refresh_from_db()
    assert following.state == "waiting"

    Run.objects.filter(pk=active.pk).update(state="running")
    journal.submit(entry(active, state="succeeded")).result()
    for run in (following, last):
        run.refresh_from_db()
    assert [following.state, last.state] == ["queued", "waiting"]
    assert is_dense(following.pk)
