"""A connection that breaks during or after a commit: the batch is written once."""

from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from agents.engine_process import make_journal
from agents.journal.journal import Journal
from agents.journal.postgres import PostgresWriter
from agents.journal.postgres import writer as postgres
from agents.journal.records import Committed
from core import pausepoints
from core.errors import UnavailableError
from governance.models import Workspace
from tests.conformance.journal.kit import birth, call_row, entry, events, is_dense, move, running

pytestmark = pytest.mark.postgres


def kill_journal_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'agentry-journal' AND datname = current_database()"
        )


class Once:
    """Kills the journal's connection at the first visit only."""

    def __init__(self) -> None:
        self.visits = 0

    def __call__(self) -> None:
        self.visits += 1
        if self.visits == 1:
            kill_journal_connections()
            connection.close()


@pytest.mark.parametrize("point", ["journal.before_write", "journal.before_commit"])
@pytest.mark.parametrize("releases", [False, True])
def test_a_connection_killed_before_the_commit_is_replaced(
    journal: Journal, workspace: Workspace, point: str, releases: bool
) -> None:
    run = running(workspace)
    journal.submit(entry(run)).result()
    kill = Once()
    with pausepoints.at(point, kill):
        state = "succeeded" if releases else "running"
        outcome = journal.submit(entry(run, "run.state", state=state)).result(30)

    assert kill.visits >= 1
    assert outcome == Committed(head_sequence=3, control="")
    assert events(run.pk) == [(1, "run.created"), (2, "step.model"), (3, "run.state")]


def test_a_commit_whose_answer_was_lost_is_found_by_its_id(workspace: Workspace) -> None:
    """The statement is executed and committed; only then the connection breaks."""
    run, other = running(workspace), running(workspace, fence=2)
    journal = make_journal()
    writer: Any = journal._writer
    try:
        journal.submit(entry(run)).result()
        real = writer._write_entries
        lost: list[int] = []

        def commit_and_break(link: Any, entries: Any, commit_id: Any) -> Any:
            outcome = real(link, entries, commit_id)
            if not lost:
                lost.append(1)
                raise psycopg.OperationalError("the answer was lost")
            return outcome

        writer._write_entries = commit_and_break
        call = call_row(run)
        with journal._wake:
            first = journal.submit(entry(run, "tool.planned", planned=(call,)))
            stale = journal.submit(entry(other))
        assert first.result(30) == Committed(head_sequence=3, control="")
        assert type(stale.result(30)).__name__ == "Lost"
        lost.clear()
        assert isinstance(
            journal.submit(entry(run, moved=(move(call, "planned", "claimed"),))).result(30),
            Committed,
        )
    finally:
        journal.close()

    assert lost == [1]
    assert [kind for _, kind in events(run.pk)] == [
        "run.created",
        "step.model",
        "tool.planned",
        "step.model",
    ]
    assert is_dense(run.pk)


def test_a_commit_that_the_server_makes_after_it_was_asked_is_not_made_twice(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is cut; the old connection's backend commits when nobody looks any more."""
    run = running(workspace)
    journal = make_journal()
    writer: Any = journal._writer
    write, applied = writer._write_entries, postgres._applied
    asked: list[object] = []

    def commit_and_break(link: Any, entries: Any, commit_id: Any) -> Any:
        outcome = write(link, entries, commit_id)
        if not asked:
            raise psycopg.OperationalError("the answer was lost")
        return outcome

    def asked_too_early(*arguments: Any) -> Any:
        asked.append(arguments)
        return None if len(asked) == 1 else applied(*arguments)

    monkeypatch.setattr(writer, "_write_entries", commit_and_break)
    monkeypatch.setattr(postgres, "_applied", asked_too_early)
    try:
        call = call_row(run)
        outcome = journal.submit(entry(run, "tool.planned", planned=(call,))).result(30)
        assert outcome == Committed(head_sequence=2, control="")
    finally:
        journal.close()

    assert len(asked) == 2
    assert events(run.pk) == [(1, "run.created"), (2, "tool.planned")]


def test_a_birth_is_repeated_without_a_second_run(journal: Journal, workspace: Workspace) -> None:
    kill = Once()
    born = birth(workspace)
    with pausepoints.at("journal.before_write", kill):
        journal.submit(born).result(30)

    assert events(born.run.id) == [(1, "run.created")]


def test_a_database_that_stays_away_fails_everybody_at_once(workspace: Workspace) -> None:
    assert settings.IS_POSTGRES
    runs = [running(workspace) for _ in range(8)]
    writer = PostgresWriter("host=127.0.0.1 port=1 dbname=none", patience_seconds=0.1)
    journal = Journal(writer, on_commit=lambda heads: None)
    try:
        with journal._wake:
            futures = [journal.submit(entry(run)) for run in runs]
        assert [type(future.exception(30)) for future in futures] == [UnavailableError] * 8
        assert journal.statistics.splits == 0
    finally:
        journal.close()
