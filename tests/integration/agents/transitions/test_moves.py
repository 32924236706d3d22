"""Moves of runs that no worker makes: the table, and who may come second."""

import pytest
from django.db.models import Q

from agents.contracts import Control, RunState
from agents.models import AgentVersion
from agents.services.versions import version_draft_save
from agents.transitions import (
    LIVE,
    RUN_TABLE,
    TERMINAL,
    run_ask,
    run_cancel_one,
    run_expire_lease,
    run_move,
    run_note,
    stale,
    version_to_published,
)
from core import clock, pausepoints
from core.errors import StaleStateError
from core.ids import new_id
from governance.contracts import SYSTEM
from governance.models import Workspace
from observability.contracts import EventKind
from plugins.contracts import CallState
from plugins.models import ToolCall
from tests.factories.agents import make_agent, make_call
from tests.integration.agents.transitions.kit import a_run, last_event, snapshot

pytestmark = pytest.mark.django_db(transaction=True)
S = RunState


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

    with pytest.raises(StaleStateError, match=r"The run is waiting; it cannot be resumed now"):
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


def test_asking_needs_a_running_run(workspace: Workspace) -> None:
    parked = a_run(workspace, S.WAITING)
    before = snapshot(parked)

    with pytest.raises(StaleStateError, match="cannot be paused"):
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


def test_what_a_second_comer_is_told(workspace: Workspace) -> None:
    run = a_run(workspace, S.RUNNING, control="pause", control_by="ann")

    error = stale(run.pk, "pause")

    assert error.message == (
        "The run is running and was already asked to pause by ann; it cannot be paused now."
    )
    assert error.detail == {"state": "running", "control": "pause", "by": "ann"}


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
        (S.QUEUED, "ann", "The run is queued, resumed by ann; it cannot be paused now."),
        (S.PAUSED, "ann", "The run is paused by ann; it cannot be paused now."),
        (S.PAUSED, "", "The run is paused; it cannot be paused now."),
        (S.SUCCEEDED, "ann", "The run has succeeded; it cannot be paused now."),
    ],
)
def test_a_second_comer_hears_who_was_first(
    workspace: Workspace, state: RunState, by: str, sentence: str
) -> None:
    run = a_run(workspace, state, control_by=by)

    assert stale(run.pk, S.PAUSED.value).message == sentence
