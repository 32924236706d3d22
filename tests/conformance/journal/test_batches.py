"""What every journal owes those who hand over at once: batches, their bounds, and an end."""

import asyncio
import threading
from typing import Any

import pytest

from agents.journal.journal import MAX_BATCH, Journal
from agents.journal.records import Committed, Lost
from core import clock
from core.errors import LeaseLostError, UnavailableError
from core.ids import new_id
from governance.models import Workspace
from tests.conformance.journal.kit import (
    WatchedWriter,
    entry,
    events,
    is_dense,
    make_writer,
    orm,
    replaced,
    running,
    together,
)


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
