"""What every journal writer owes its users, on SQLite and on PostgreSQL."""

import asyncio
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q

from agents.contracts import Control
from agents.journal.journal import MAX_BATCH, Journal
from agents.journal.records import (
    BlobRow,
    Committed,
    Entry,
    EventRow,
    Lease,
    Lost,
    MessageRow,
)
from agents.models import Checkpoint, Message, Run
from agents.transitions import run_ask, run_note
from core import clock
from core.errors import LeaseLostError, StaleStateError, UnavailableError
from core.ids import new_id
from governance.models import Workspace
from observability.contracts import EventKind
from observability.models import Blob
from plugins.models import ToolCall
from tests.conformance.journal.kit import (
    Heads,
    WatchedWriter,
    call_row,
    checkpoint,
    entry,
    events,
    footprint,
    is_dense,
    make_writer,
    message,
    move,
    orm,
    replaced,
    running,
    together,
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


def test_a_stale_fence_is_refused_alone(
    journal: Journal, heads: Heads, workspace: Workspace
) -> None:
    fresh, stale, released = (running(workspace) for _ in range(3))
    Run.objects.filter(pk=stale.pk).update(fence=2)
    Run.objects.filter(pk=released.pk).update(state="paused")
    before = [footprint(stale.pk), footprint(released.pk)]

    outcomes = journal._writer.write(
        [
            entry(stale, messages=(message(stale, 0),), planned=(call_row(stale),)),
            entry(fresh, messages=(message(fresh, 0),)),
            entry(released, checkpoints=(checkpoint(released, 1),)),
            entry(fresh, "step.retry"),
        ]
    )

    assert [type(outcome) for outcome in outcomes] == [Lost, Committed, Lost, Committed]
    assert [footprint(stale.pk), footprint(released.pk)] == before
    assert events(fresh.pk) == [(1, "run.created"), (2, "step.model"), (3, "step.retry")]
    assert Message.objects.filter(run=fresh).count() == 1


async def test_commit_tells_a_lost_lease(journal: Journal, workspace: Workspace) -> None:
    run = await orm(running, workspace)

    with pytest.raises(LeaseLostError, match=str(run.pk)):
        await journal.commit(replaced(entry(run), fence=7))
    assert (await journal.commit(entry(run))).head_sequence == 2


def test_what_waits_during_a_commit_goes_into_the_next_one(workspace: Workspace) -> None:
    runs = [running(workspace) for _ in range(5)]
    gate = threading.Event()
    writer = WatchedWriter(make_writer(), before=lambda: assert_opens(gate))
    journal = Journal(writer, on_commit=lambda heads: None)
    try:
        first = journal.submit(entry(runs[0]))
        while journal.queued:  # the writer has it, and waits at the gate
            threading.Event().wait(0.001)
        rest = [journal.submit(entry(run)) for run in runs[1:] for _ in range(3)]
        gate.set()
        assert [type(each.result()) for each in (first, *rest)] == [Committed] * 13
    finally:
        gate.set()
        journal.close()

    assert writer.batches == [1, 12]
    assert (journal.statistics.commits, journal.statistics.contributions) == (2, 13)
    assert [is_dense(run.pk) for run in runs] == [True] * 5
    assert [len(events(run.pk)) for run in runs] == [2, 4, 4, 4, 4]


def assert_opens(gate: threading.Event) -> None:
    assert gate.wait(20)


def test_a_batch_is_bounded_and_closing_flushes(workspace: Workspace) -> None:
    run = running(workspace)
    gate = threading.Event()
    writer = WatchedWriter(make_writer(), before=lambda: assert_opens(gate))
    journal = Journal(writer, on_commit=lambda heads: None)
    first = journal.submit(entry(run))
    while journal.queued:
        threading.Event().wait(0.001)
    rest = [journal.submit(entry(run)) for _ in range(MAX_BATCH + 3)]
    closer = threading.Thread(target=journal.close)
    closer.start()
    gate.set()
    closer.join(60)

    assert all(isinstance(each.result(0), Committed) for each in (first, *rest))
    assert writer.batches == [1, MAX_BATCH, 3]
    assert is_dense(run.pk)
    assert len(events(run.pk)) == MAX_BATCH + 5


def test_a_full_queue_and_a_closed_journal_refuse(workspace: Workspace) -> None:
    run = running(workspace)
    gate = threading.Event()
    writer = WatchedWriter(make_writer(), before=lambda: assert_opens(gate))
    journal = Journal(writer, on_commit=lambda heads: None, max_queued=2)
    first = journal.submit(entry(run))
    while journal.queued:
        threading.Event().wait(0.001)
    queued = [journal.submit(entry(run)) for _ in range(2)]
    with pytest.raises(UnavailableError, match="Too many writes are waiting"):
        journal.submit(entry(run))
    gate.set()
    assert [type(each.result()) for each in (first, *queued)] == [Committed] * 3
    journal.close()

    with pytest.raises(UnavailableError, match="This process is stopping"):
        journal.submit(entry(run))
    assert len(events(run.pk)) == 4


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


def test_a_stale_move_fails_alone(journal: Journal, workspace: Workspace) -> None:
    good, bad = running(workspace), running(workspace)
    call = call_row(bad)
    journal.submit(entry(bad, planned=(call,))).result()
    futures = together(
        journal,
        entry(good, messages=(message(good, 0),)),
        entry(bad, moved=(move(call, "claimed", "dispatched"),)),
        entry(good, "step.retry"),
    )

    assert [type(future.exception()) for future in futures] == [
        type(None),
        StaleStateError,
        type(None),
    ]
    assert events(good.pk) == [(1, "run.created"), (2, "step.model"), (3, "step.retry")]
    assert is_dense(bad.pk)


@pytest.mark.parametrize("at", range(4))
def test_a_bad_row_fails_alone_with_its_error(
    journal: Journal, workspace: Workspace, at: int
) -> None:
    runs = [running(workspace) for _ in range(4)]
    entries = [entry(run, messages=(message(run, 0),)) for run in runs]
    journal.submit(entry(runs[at], messages=(message(runs[at], 0),))).result()
    before = footprint(runs[at].pk)

    futures = together(journal, *entries)  # one of them repeats a position

    errors = [future.exception() for future in futures]
    assert [index for index, error in enumerate(errors) if error is not None] == [at]
    assert "message" in str(errors[at])
    assert footprint(runs[at].pk) == before
    assert [len(events(run.pk)) for run in runs] == [2] * 4
    assert journal.statistics.splits == 2


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate_fails_alone(journal: Journal, workspace: Workspace, text: str) -> None:
    good, bad = running(workspace), running(workspace)
    before = footprint(bad.pk)
    first, second = together(journal, entry(bad, messages=(message(bad, 0, text),)), entry(good))

    assert isinstance(first.exception(), UnicodeEncodeError)
    assert isinstance(second.result(), Committed)
    assert footprint(bad.pk) == before


def test_a_nul_harms_nobody_else(journal: Journal, workspace: Workspace) -> None:
    """PostgreSQL refuses it, SQLite stores it; redaction keeps it from coming this far."""
    good, bad = running(workspace), running(workspace)
    first, second = together(journal, entry(bad, reason="nul \x00"), entry(good))

    assert isinstance(second.result(), Committed)
    assert (first.exception() is None) == (connection.vendor == "sqlite")
    assert is_dense(bad.pk)


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


async def test_a_closed_journal_renews_nothing(transactional_db: None) -> None:
    journal = Journal(make_writer(), on_commit=lambda heads: None)
    journal.close()

    with pytest.raises(UnavailableError):
        await journal.renew(new_id(), clock.now())


def test_an_announcement_that_fails_fails_nobody(workspace: Workspace) -> None:
    run = running(workspace)

    def broken(heads: Any) -> None:
        raise RuntimeError("no viewers today")

    journal = Journal(make_writer(), on_commit=broken)
    try:
        assert isinstance(journal.submit(entry(run)).result(), Committed)
    finally:
        journal.close()


def test_entries_of_another_fence_wait_for_the_next_batch(
    journal: Journal, workspace: Workspace
) -> None:
    run = running(workspace)
    old, new, same = together(
        journal, entry(run), replaced(entry(run), fence=2), entry(run, "step.retry")
    )

    assert isinstance(old.result(), Committed)
    assert isinstance(new.result(), Lost)
    assert isinstance(same.result(), Committed)
    assert journal.statistics.commits == 2


async def test_a_submitter_that_is_cancelled_does_not_let_go_of_its_write(
    workspace: Workspace,
) -> None:
    run = await orm(running, workspace)
    gate = threading.Event()
    writer = WatchedWriter(make_writer(), before=lambda: assert_opens(gate))
    journal = Journal(writer, on_commit=lambda heads: None)
    kept = asyncio.create_task(journal.commit(entry(run)))
    lost = asyncio.create_task(journal.commit(replaced(entry(run), fence=9)))
    await asyncio.sleep(0)
    kept.cancel()
    lost.cancel()
    gate.set()
    outcomes = await asyncio.gather(kept, lost, return_exceptions=True)
    await asyncio.to_thread(journal.close)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, LeaseLostError]
    await orm(run.refresh_from_db)
    assert run.head_sequence == 2


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
