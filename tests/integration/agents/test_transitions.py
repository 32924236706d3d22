"""Moves of runs that no worker makes: the table, who may come second, and who is woken."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Q

from agents.contracts import Control, RunState, SessionStrategy
from agents.models import AgentVersion, Run, Session
from agents.services.versions import version_draft_save
from agents.transitions import (
    LIVE,
    RUN_TABLE,
    TERMINAL,
    leases_end,
    run_ask,
    run_cancel_one,
    run_expire_lease,
    run_move,
    run_note,
    run_wake_parent,
    run_wake_session,
    stale,
    version_to_published,
)
from core import clock, pausepoints
from core.errors import StaleStateError
from core.ids import new_id
from governance.contracts import SYSTEM
from governance.models import Workspace
from observability.contracts import EventKind
from observability.models import TraceEvent
from plugins.contracts import CallState
from plugins.models import ToolCall
from tests.factories.agents import make_agent, make_call, make_run, make_session
from tests.factories.governance import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)
S = RunState


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace("acme")


def a_run(workspace: Workspace, state: RunState = S.QUEUED, **fields: Any) -> Run:
    run = make_run(workspace)
    if state is S.RUNNING:
        fields = {"worker_id": new_id(), "lease_until": clock.now(), "fence": 1, **fields}
    Run.objects.filter(pk=run.pk).update(state=state.value, **fields)
    run.refresh_from_db()
    return run


def snapshot(run: Run) -> tuple[dict[str, Any], int]:
    row = Run.objects.filter(pk=run.pk).values().get()
    return dict(row), TraceEvent.objects.filter(run_id=run.pk).count()


def last_event(run: Run) -> tuple[int, str, dict[str, Any]]:
    event = TraceEvent.objects.filter(run_id=run.pk).order_by("-sequence").first()
    assert event is not None
    return event.sequence, event.kind, event.payload


def test_what_lives_can_move_and_what_has_ended_cannot() -> None:
    assert {"succeeded", "failed", "cancelled"} == TERMINAL
    assert frozenset(S) == {S(value) for value in LIVE | TERMINAL}
    assert not LIVE & TERMINAL


@pytest.mark.parametrize("source", list(S))
@pytest.mark.parametrize("target", [S.QUEUED, S.PAUSED, S.FAILED, S.CANCELLED])
def test_only_legal_moves_of_runs_without_an_owner(
    workspace: Workspace, source: RunState, target: RunState
) -> None:
    run = a_run(workspace, source)
    before = snapshot(run)
    if source is not S.RUNNING and RUN_TABLE.allows(source, target):
        moved = run_move(run_id=run.pk, target=target, reason="because")
        assert (moved.state, moved.reason) == (target.value, "because")
        assert moved.head_sequence == run.head_sequence + 1
        assert (moved.finished_at is not None) == (target in RUN_TABLE.terminal)
        assert last_event(run) == (
            moved.head_sequence,
            "run.state",
            {
                "before": source.value,
                "state": target.value,
                "is_terminal": target in RUN_TABLE.terminal,
                "reason": "because",
            },
        )
    else:
        with pytest.raises(StaleStateError):
            run_move(run_id=run.pk, target=target)
        assert snapshot(run) == before


def test_a_move_clears_what_the_run_waited_for(workspace: Workspace) -> None:
    run = a_run(
        workspace, S.WAITING, wait_kind="timer", wake_at=clock.now(), reason="x", control="pause"
    )
    moved = run_move(
        run_id=run.pk, target=S.QUEUED, payload={"by": "ann"}, fields={"error_code": "e"}
    )

    assert (moved.wait_kind, moved.wake_at, moved.reason, moved.control) == ("", None, "", "")
    assert moved.error_code == "e"
    assert moved.available_at > run.available_at
    assert last_event(run)[2] == {
        "before": "waiting",
        "state": "queued",
        "is_terminal": False,
        "by": "ann",
    }


def test_a_condition_belongs_to_the_same_update(workspace: Workspace) -> None:
    run = a_run(workspace, S.WAITING, wait_kind="timer")
    before = snapshot(run)

    with pytest.raises(StaleStateError, match=r"The run is waiting; it cannot resume now"):
        run_move(run_id=run.pk, target=S.QUEUED, where=Q(wait_kind="children"))
    with pytest.raises(StaleStateError):
        run_move(run_id=run.pk, target=S.QUEUED, sources={S.PAUSED, S.RUNNING})
    assert snapshot(run) == before


def test_of_two_who_move_at_once_one_wins(workspace: Workspace) -> None:
    run = a_run(workspace, S.PAUSED)
    first = [True]

    def somebody_is_quicker() -> None:
        if first:
            first.clear()
            run_move(run_id=run.pk, target=S.CANCELLED, fields={"control_by": "bob"})

    with (
        pausepoints.at("control.before_update", somebody_is_quicker),
        pytest.raises(StaleStateError, match="The run is cancelled by bob") as caught,
    ):
        run_move(run_id=run.pk, target=S.QUEUED)
    assert caught.value.detail == {"state": "cancelled", "control": "", "by": "bob"}


def test_a_run_that_is_gone_says_so() -> None:
    missing = new_id()

    with pytest.raises(StaleStateError, match=f"The run {missing} does not exist any more"):
        run_move(run_id=missing, target=S.CANCELLED)
    with pytest.raises(StaleStateError, match="does not exist"):
        run_expire_lease(missing, max_crashes=3)
    with pytest.raises(StaleStateError, match="does not exist"):
        run_cancel_one(missing, actor="ann")
    with pytest.raises(StaleStateError, match="does not exist"):
        run_ask(run_id=missing, control=Control.PAUSE, actor="ann", sources=Q())


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
        pytest.raises(StaleStateError, match="cannot cancel"),
    ):
        run_cancel_one(run.pk, actor="ann")
    assert last_event(run)[0] == 1


def test_asking_needs_a_running_run(workspace: Workspace) -> None:
    parked = a_run(workspace, S.WAITING)
    before = snapshot(parked)

    with pytest.raises(StaleStateError, match="cannot pause"):
        run_ask(run_id=parked.pk, control=Control.PAUSE, actor="ann", sources=Q())
    assert snapshot(parked) == before


def test_a_note_moves_nothing(workspace: Workspace) -> None:
    run = a_run(workspace, S.SUCCEEDED)
    run_note(run=run, kind=EventKind.RUN_NOTE, payload={"n": 1})

    run.refresh_from_db()
    assert (run.state, run.head_sequence) == ("succeeded", 2)
    assert last_event(run) == (2, "run.note", {"n": 1})


def test_the_end_of_a_run_settles_its_calls(workspace: Workspace) -> None:
    run = a_run(workspace, S.WAITING, message_count=2)
    states = [
        CallState.PLANNED,
        CallState.WAITING,
        CallState.CLAIMED,
        CallState.DISPATCHED,
        CallState.COMMITTED,
        CallState.IN_DOUBT,
    ]
    for index, state in enumerate(states):
        make_call(run, state=state, index=index)
    read = make_call(run, state=CallState.DISPATCHED, index=9)
    ToolCall.objects.filter(pk=read.pk).update(effect="read")
    run_move(run_id=run.pk, target=S.CANCELLED)

    rows = ToolCall.objects.filter(run_id=run.pk).order_by("index")
    assert list(rows.values_list("state", flat=True)) == [
        "cancelled",
        "cancelled",
        "cancelled",
        "in_doubt",
        "committed",
        "in_doubt",
        "cancelled",
    ]


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


def test_what_a_second_comer_is_told(workspace: Workspace) -> None:
    run = a_run(workspace, S.RUNNING, control="pause", control_by="ann")

    error = stale(run.pk, "pause")

    assert error.message == (
        "The run is running and was already asked to pause by ann; it cannot pause now."
    )
    assert error.detail == {"state": "running", "control": "pause", "by": "ann"}


def test_a_dead_workers_leases_end_at_once(workspace: Workspace) -> None:
    later = clock.now() + timedelta(minutes=1)
    worker = new_id()
    mine = a_run(workspace, S.RUNNING, worker_id=worker, lease_until=later)
    others = a_run(workspace, S.RUNNING, lease_until=later)
    leases_end(worker)

    assert run_expire_lease(mine.pk, max_crashes=3)
    with pytest.raises(StaleStateError):
        run_expire_lease(others.pk, max_crashes=3)


def test_a_version_is_published_once_and_as_it_was_read(workspace: Workspace) -> None:
    agent = make_agent(workspace)
    spec = {"prompt": "Be long.", "model": "small"}
    draft = version_draft_save(actor=SYSTEM, agent=agent, spec=spec)
    read = AgentVersion.objects.get(pk=draft.pk)
    version_draft_save(actor=SYSTEM, agent=agent, spec={**spec, "prompt": "Be longer."})

    with pytest.raises(StaleStateError):
        version_to_published(read)
    assert AgentVersion.objects.get(pk=draft.pk).state == "draft"

    read.refresh_from_db()
    version_to_published(read)
    with pytest.raises(StaleStateError, match="is published already"):
        version_to_published(read)
    assert AgentVersion.objects.get(pk=draft.pk).published_at is not None


@pytest.mark.parametrize(
    ("state", "by", "sentence"),
    [
        (S.QUEUED, "ann", "The run is queued, resumed by ann; it cannot pause now."),
        (S.PAUSED, "ann", "The run is paused by ann; it cannot pause now."),
        (S.PAUSED, "", "The run is paused; it cannot pause now."),
        (S.SUCCEEDED, "ann", "The run is succeeded; it cannot pause now."),
    ],
)
def test_a_second_comer_hears_who_was_first(
    workspace: Workspace, state: RunState, by: str, sentence: str
) -> None:
    run = a_run(workspace, state, control_by=by)

    assert stale(run.pk, S.PAUSED.value).message == sentence
