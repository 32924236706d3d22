"""What every journal refuses: alone, whole, and without harm to its neighbours."""

import pytest
from django.db import connection

from agents.journal.journal import Journal
from agents.journal.records import Committed, Lost
from agents.models import Message, Run
from core.errors import LeaseLostError, StaleStateError
from governance.models import Workspace
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
    together,
)


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
