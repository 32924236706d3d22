"""The site's own connections and the journal's share one SQLite file under load."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator

import pytest
from django.db import IntegrityError, connection, transaction
from msgspec.structs import replace

from agents.engine_process import make_journal
from agents.journal.journal import Journal
from agents.journal.records import Birth, Born, EventRow, RunRow
from agents.models import Run, Session
from core import clock
from core.ids import new_id
from observability.models import TraceEvent
from tests.factories.agents import make_run
from tests.factories.governance import make_workspace

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]

WRITERS = 4
EACH = 25
BIRTHS = 300


@pytest.fixture
def journal() -> Iterator[Journal]:
    opened = make_journal()
    yield opened
    opened.close()


def _births(like: Run, count: int) -> list[Birth]:
    now = clock.now()
    found = []
    for _ in range(count):
        run_id = new_id()
        row = RunRow(
            id=run_id,
            workspace_id=like.workspace_id,
            kind=like.kind,
            agent_id=like.agent_id,
            agent_name=like.agent_name,
            version_id=like.version_id,
            snapshot_id=like.snapshot_id,
            root_id=run_id,
            input="go",
            limits={},
            available_at=now,
            created_at=now,
            updated_at=now,
        )
        found.append(Birth(run=row, event=EventRow("run.created", now, {"state": "queued"})))
    return found


def test_transactions_that_read_before_they_write_and_the_journal_wait_for_each_other(
    journal: Journal,
) -> None:
    """A deferred transaction would fail at its first write when another one came between."""
    run = make_run(make_workspace())
    failures: list[Exception] = []

    def count_up() -> None:
        try:
            for _ in range(EACH):
                with transaction.atomic():
                    row = Run.objects.get(pk=run.pk)
                    row.iteration += 1
                    row.save(update_fields=["iteration"])
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)
        finally:
            connection.close()

    async def bear() -> None:
        await asyncio.gather(*(journal.bear(birth) for birth in _births(run, BIRTHS)))

    writers = [threading.Thread(target=count_up) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    asyncio.run(bear())
    for writer in writers:
        writer.join()

    run.refresh_from_db()
    assert failures == []
    assert run.iteration == WRITERS * EACH
    assert Run.objects.exclude(pk=run.pk).count() == BIRTHS
    assert TraceEvent.objects.exclude(run_id=run.pk).count() == BIRTHS


def test_the_journal_refuses_alone_what_refers_to_nothing(journal: Journal) -> None:
    run = make_run(make_workspace())
    good, bad, other = _births(run, 3)
    bad = replace(bad, run=replace(bad.run, version_id=new_id()))

    async def bear() -> list[Born | BaseException]:
        births = (journal.bear(birth) for birth in (good, bad, other))
        return await asyncio.gather(*births, return_exceptions=True)

    first, refused, last = asyncio.run(bear())

    assert isinstance(first, Born)
    assert isinstance(refused, sqlite3.IntegrityError)
    assert isinstance(last, Born)
    assert set(Run.objects.exclude(pk=run.pk).values_list("pk", flat=True)) == {
        good.run.id,
        other.run.id,
    }


def test_what_a_row_refers_to_must_exist() -> None:
    run = make_run(make_workspace())

    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(session_id=new_id())

    run.refresh_from_db()
    assert run.session_id is None
    assert Session.objects.count() == 0


def test_the_site_writes_ahead_and_waits_for_others() -> None:
    with connection.cursor() as cursor:
        read = {}
        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
            cursor.execute(f"PRAGMA {name}")
            read[name] = cursor.fetchone()[0]

    assert read == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 20_000,
    }
