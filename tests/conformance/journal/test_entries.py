"""What every journal writes for an entry, on SQLite and on PostgreSQL."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Q

from agents.contracts import Control
from agents.journal.journal import Journal
from agents.journal.records import BlobRow, Committed, Entry, EventRow, Lease, Lost, MessageRow
from agents.models import Checkpoint, Message, Run
from agents.transitions import run_ask, run_note
from core import clock
from core.errors import StaleStateError
from core.ids import new_id
from governance.models import Workspace
from observability.contracts import EventKind
from observability.models import Blob
from plugins.models import ToolCall
from tests.conformance.journal.kit import (
    Heads,
    call_row,
    checkpoint,
    entry,
    events,
    footprint,
    is_dense,
    message,
    move,
    orm,
    replaced,
    running,
)


def test_an_entry_is_written_whole(journal: Journal, heads: Heads, workspace: Workspace) -> None:
    run = running(workspace)
    call = call_row(run)
    outcome = journal.submit(
        entry(
            run,
            "step.model",
            "tool.planned",
            messages=(message(run, 0), message(run, 1, "é \U0001f30d")),
            checkpoints=(checkpoint(run, 1),),
            planned=(call,),
            message_count=2,
            iteration=1,
            input_tokens=10,
            output_tokens=3,
            cost_usd=Decimal("0.12345678"),
        )
    ).result()

    run.refresh_from_db()
    assert outcome == Committed(head_sequence=3, control="")
    assert (run.state, run.head_sequence, run.message_count) == ("running", 3, 2)
    assert (run.iteration, run.input_tokens, run.cost_usd) == (1, 10, Decimal("0.12345678"))
    assert run.lease_until is not None
    assert events(run.pk) == [(1, "run.created"), (2, "step.model"), (3, "tool.planned")]
    rows = Message.objects.filter(run=run).order_by("position")
    assert [row.parts[0]["content"] for row in rows] == ["hello", "é \U0001f30d"]
    assert Checkpoint.objects.get(run=run).state == {"phase": "model", "cost_usd": "0.10"}
    stored = ToolCall.objects.get(pk=call.id)
    assert (stored.state, stored.arguments, stored.planned_at) == (
        "planned",
        {"n": 1},
        call.planned_at,
    )
    assert heads == [(workspace.pk, run.pk, 3)]


def test_a_release_lets_go_of_the_lease_and_keeps_the_output(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace, output="kept")
    journal.submit(entry(run, state="waiting", wait_kind="timer", wake_at=clock.now())).result()

    run.refresh_from_db()
    assert (run.state, run.wait_kind, run.output) == ("waiting", "timer", "kept")
    assert (run.worker_id, run.lease_until) == (None, None)
    assert run.wake_at is not None
    assert isinstance(journal.submit(entry(run)).result(), Lost)
    run.refresh_from_db()
    assert run.state == "waiting"


def test_two_entries_of_one_batch_leave_the_last_state(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)
    outcomes = journal._writer.write(
        [
            entry(run, "step.model", output="first", iteration=1),
            entry(run, "run.state", state="succeeded", iteration=2),
        ]
    )

    run.refresh_from_db()
    assert [type(outcome) for outcome in outcomes] == [Committed, Committed]
    assert (run.state, run.iteration, run.output) == ("succeeded", 2, "first")
    assert is_dense(run.pk)


def test_what_is_asked_of_a_run_comes_back_with_its_commit(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)
    run_ask(run_id=run.pk, control=Control.PAUSE, actor="ann", sources=Q())

    assert journal.submit(entry(run)).result() == Committed(head_sequence=3, control="pause")
    assert events(run.pk) == [(1, "run.created"), (2, "run.control"), (3, "step.model")]


def test_events_stay_dense_between_two_kinds_of_writers(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)

    def note() -> None:
        for number in range(20):
            run_note(run=run, kind=EventKind.RUN_NOTE, payload={"n": number})
        connection.close()

    other = threading.Thread(target=note)
    other.start()
    written = [journal.submit(entry(run, "step.model", "tool.planned")) for _ in range(30)]
    heads = [each.result() for each in written]
    other.join(60)

    assert all(isinstance(outcome, Committed) for outcome in heads)
    assert is_dense(run.pk)
    assert len(events(run.pk)) == 1 + 20 + 60


def test_ledger_moves_compare_and_set(journal: Journal, workspace: Workspace) -> None:
    run = running(workspace)
    call, other = call_row(run), call_row(run, 1)
    journal.submit(entry(run, planned=(call, other))).result()
    now = clock.now()
    journal.submit(
        entry(run, moved=(move(call, "planned", "dispatched", dispatched_at=now),))
    ).result()
    before = footprint(run.pk)

    with pytest.raises(StaleStateError, match="nothing was written"):
        journal.submit(
            entry(
                run,
                messages=(message(run, 0),),
                moved=(
                    move(other, "planned", "claimed"),
                    move(call, "planned", "claimed"),
                ),
            )
        ).result()

    assert footprint(run.pk) == before
    journal.submit(
        entry(
            run,
            moved=(
                move(
                    call,
                    "dispatched",
                    "committed",
                    result="ok",
                    settled_at=now,
                    decision={"by": "ann"},
                ),
            ),
        )
    ).result()
    stored = ToolCall.objects.get(pk=call.id)
    assert (stored.state, stored.result, stored.decision) == ("committed", "ok", {"by": "ann"})
    assert (stored.dispatched_at, stored.settled_at) == (now, now)


def test_blobs_are_kept_once(journal: Journal, workspace: Workspace) -> None:
    run = running(workspace)
    blob = BlobRow(new_id(), workspace.pk, "b" * 64, 3, "text/plain", b"\x00\xffa", clock.now())
    again = BlobRow(new_id(), workspace.pk, "b" * 64, 3, "text/plain", b"\x00\xffa", clock.now())
    journal.submit(entry(run, blobs=(blob,))).result()
    journal.submit(entry(run, blobs=(again,))).result()

    stored = Blob.objects.get()
    assert (stored.pk, bytes(stored.content)) == (blob.id, b"\x00\xffa")


async def test_a_renewal_extends_what_the_worker_holds(
    journal: Journal, workspace: Workspace
) -> None:
    worker = new_id()
    until = clock.now() + timedelta(minutes=5)

    def prepare() -> tuple[Run, Run]:
        return (
            running(workspace, worker_id=worker, control="cancel"),
            running(workspace, worker_id=new_id()),
        )

    mine, others = await orm(prepare)
    leases = await journal.renew(worker, until)

    assert leases == [Lease(mine.pk, 1, "cancel")]
    await orm(mine.refresh_from_db)
    await orm(others.refresh_from_db)
    assert mine.lease_until == until
    assert others.lease_until != until


def test_rows_read_back_as_the_orm_writes_them(journal: Journal, workspace: Workspace) -> None:
    """Whatever the journal stores, the ORM finds by the same value."""
    run = running(workspace)
    at = clock.now().replace(microsecond=0)
    row = MessageRow(run.pk, 0, "user", [{"n": 1.5, "d": Decimal("0.10")}], at)
    finished: Entry = replaced(
        entry(run, state="succeeded", finished_at=at, output="done"),
        messages=(row,),
        events=(EventRow("run.state", at, {"id": run.pk}),),
    )
    journal.submit(finished).result()

    assert Run.objects.filter(pk=run.pk, finished_at=at, output="done").exists()
    assert Message.objects.get(run=run, created_at=at).parts == [{"n": 1.5, "d": "0.10"}]
