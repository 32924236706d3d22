"""Usage by the hour: each answer of a model once, whatever dies, comes late or comes twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from agents.models import Run
from agents.selectors.usage import usage_keys
from agents.tasks import usage as usage_task
from core import clock
from core.errors import ConflictError
from core.ids import new_id
from core.pausepoints import at
from governance.models import Workspace
from observability.contracts import (
    ModelAnswer,
    UsageKey,
    UsageSum,
)
from observability.models import UsageCursor, UsageHour
from observability.selectors import usage as reading
from observability.selectors.usage import Dimension, UsageReader, usage_read
from observability.services import usage_fold, usage_fold_all, usage_rebuild
from tests.factories.agents import make_model, make_provider, make_run
from tests.factories.governance import make_workspace
from tests.integration.observability.usage_kit import (
    EVER,
    NEVER,
    answered,
    fold,
    seen,
    summed,
    times,
)
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def run(workspace: Workspace) -> Run:
    return make_run(workspace)


def test_every_answer_is_counted_once_however_often_it_is_folded(
    workspace: Workspace, run: Run
) -> None:
    for _ in range(3):
        answered(run)
    assert (fold(workspace), fold(workspace), summed()) == (3, 0, times(3))

    answered(run)
    assert (fold(workspace), fold(workspace), summed()) == (1, 0, times(4))
    row = UsageHour.objects.get()
    assert (row.agent, row.model, row.provider, row.user) == ("helper", "small", "script", "")
    assert (row.hour.minute, row.hour.second, row.workspace_id) == (0, 0, workspace.pk)


def test_a_large_trace_is_folded_in_batches(workspace: Workspace, run: Run) -> None:
    for _ in range(5):
        answered(run)

    def fold_two() -> int:
        return usage_fold(workspace.pk, usage_keys, limit=2)

    wait_for(lambda: fold_two() == 2, summed)

    assert (fold_two(), summed()) == (2, times(4))
    assert (fold_two(), fold_two(), summed()) == (1, 0, times(5))


def test_a_crash_before_the_commit_leaves_nothing_behind(workspace: Workspace, run: Run) -> None:
    answered(run)
    fold(workspace)
    answered(run)
    before = UsageCursor.objects.values().get()

    def die() -> None:
        raise MemoryError

    with at("usage.before_commit", die), pytest.raises(MemoryError):
        fold(workspace)

    assert (summed(), UsageCursor.objects.values().get()) == (times(1), before)
    assert (fold(workspace), summed()) == (1, times(2))


def test_of_two_that_fold_at_once_one_has_counted(workspace: Workspace, run: Run) -> None:
    answered(run)
    answered(run)
    quicker: list[int] = []

    def overtake() -> None:
        if not quicker:
            quicker.append(0)
            quicker[0] = usage_fold(workspace.pk, usage_keys)

    with at("usage.after_read", overtake):
        slower = fold(workspace)

    assert (quicker, slower, summed()) == ([2], 0, times(2))


@contextmanager
def elsewhere(work: Any) -> Iterator[threading.Event]:
    """Do `work` in another connection's transaction, which commits when the event is set."""
    begun, may_end = threading.Event(), threading.Event()

    def act() -> None:
        try:
            with transaction.atomic():
                work()
                begun.set()
                assert may_end.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=act)
    thread.start()
    assert begun.wait(60)
    try:
        yield may_end
    finally:
        may_end.set()
        thread.join(60)


@pytest.mark.postgres
def test_an_answer_that_commits_late_is_not_passed_over(workspace: Workspace, run: Run) -> None:
    late, early = make_run(workspace), run
    with elsewhere(lambda: answered(late)) as may_commit:
        answered(early)
        # The early one is there to be seen, and must not be folded past the open transaction.
        assert seen(workspace) == times(1)
        assert usage_fold(workspace.pk, usage_keys) == 0
        assert summed() == UsageSum()
        may_commit.set()

    assert (fold(workspace), summed(), seen(workspace)) == (2, times(2), times(2))


@pytest.mark.postgres
def test_two_that_write_at_the_same_moment_add_once(workspace: Workspace, run: Run) -> None:
    answered(run)
    waited: list[int] = []

    def both() -> None:
        """While the first holds the cursor's row, a second one comes, and waits for it."""
        if waited:
            return
        waited.append(0)
        other.start()
        wait_for(_somebody_waits_for_a_row, lambda: "nobody waits for the cursor's row")

    def second() -> None:
        try:
            waited[0] = usage_fold(workspace.pk, usage_keys)
        finally:
            connection.close()

    other = threading.Thread(target=second)
    with at("usage.before_commit", both):
        first = fold(workspace)
    other.join(60)

    assert (first, waited, summed()) == (1, [0], times(1))


def _somebody_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock'"
        )
        (count,) = cursor.fetchone() or (0,)
        return bool(count)


def test_an_unknown_price_is_counted_beside_what_is_known(workspace: Workspace, run: Run) -> None:
    answered(run, cost_usd=None)
    answered(run)
    fold(workspace)

    assert summed() == UsageSum(
        calls=2,
        input_tokens=200,
        output_tokens=20,
        cache_read_tokens=80,
        cost_usd=Decimal("0.00000001"),
        unknown_calls=1,
        unknown_input_tokens=100,
        unknown_output_tokens=10,
    )
    assert summed().is_floor


def test_whose_an_answer_is(workspace: Workspace, run: Run) -> None:
    make_provider(workspace, "other")
    make_model(workspace, "second", provider="other", vendor_name="script-2")
    make_model(workspace, "first", vendor_name="script-9", fallback="second")
    chained = make_run(workspace, model="first")
    replay = make_run(workspace)
    Run.objects.filter(pk=replay.pk).update(replay_of=run.pk)
    answers = [
        ModelAnswer(
            run_id=run_id, at=clock.now(), model=model, input_tokens=1, output_tokens=1,
            cache_read_tokens=0, cost_usd=None,
        )
        for run_id, model in [
            (chained.pk, "script-2"),
            (chained.pk, "what the vendor calls it"),
            (replay.pk, "script-1"),
            (new_id(), "m"),
        ]
    ]  # fmt: skip

    assert usage_keys(answers) == [
        UsageKey("helper", "second", "other", ""),
        UsageKey("helper", "first", "script", ""),
        None,
        UsageKey("", "m", "", ""),
    ]


def test_what_is_shown_counts_what_is_not_folded_yet(workspace: Workspace, run: Run) -> None:
    answered(run)
    assert seen(workspace) == times(1)
    fold(workspace)
    assert seen(workspace) == times(1)
    answered(run)
    assert seen(workspace) == times(2)

    def look(reader: UsageReader) -> Any:
        now = clock.now()
        return (
            reader.sums(Dimension.AGENT, Dimension.MODEL, since=EVER, until=NEVER),
            reader.sums(Dimension.DAY, since=EVER, until=NEVER, agent="helper").keys(),
            reader.sums(Dimension.HOUR_OF_DAY, since=now - timedelta(hours=1), until=NEVER),
            reader.sums(Dimension.WORKSPACE, since=EVER, until=NEVER, agent="nobody"),
            reader.counted_until,
        )

    agents, days, hours, none, counted_until = usage_read([workspace.pk], usage_keys, look)
    assert agents == {("helper", "small"): times(2)}
    assert [day.hour for (day,) in days] == [0]
    assert sum(each.calls for each in hours.values()) == 2
    assert (none, counted_until) == ({}, None)


def test_folding_while_somebody_looks_neither_doubles_nor_loses(
    workspace: Workspace, run: Run
) -> None:
    answered(run)
    looks: list[UsageSum] = []

    def look(reader: UsageReader) -> UsageSum:
        if not looks:
            fold(workspace)  # between reading the tail and reading the hours
        looks.append(reader.total(since=EVER, until=NEVER))
        return looks[-1]

    found = usage_read([workspace.pk], usage_keys, look)

    assert looks == [times(2), times(1)]
    assert found == times(1)


def test_a_tail_that_is_too_long_is_said_and_not_read(
    workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TAIL", 1)
    answered(run)
    fold(workspace)
    folded_at = UsageCursor.objects.get().folded_at
    answered(run)
    answered(run)

    def look(reader: UsageReader) -> tuple[UsageSum, datetime | None]:
        return reader.total(since=EVER, until=NEVER), reader.counted_until

    assert usage_read([workspace.pk], usage_keys, look) == (times(1), folded_at)


def test_the_task_folds_every_workspace(workspace: Workspace, run: Run) -> None:
    answered(run)
    other = make_workspace("other")
    answered(make_run(other))

    def folded() -> bool:
        usage_task()
        return summed() == times(2)

    wait_for(folded, summed)
    assert UsageHour.objects.values("workspace_id").distinct().count() == 2
    assert UsageCursor.objects.count() == 2


def test_sums_can_be_made_anew(workspace: Workspace, run: Run) -> None:
    answered(run)
    fold(workspace)
    UsageHour.objects.update(calls=77)
    UsageHour.objects.create(workspace_id=workspace.pk, hour=EVER, calls=1)
    kept = UsageHour.objects.create(workspace_id=new_id(), hour=EVER, calls=1)

    assert usage_rebuild(workspace.pk, usage_keys) == 1
    assert UsageHour.objects.get(pk=kept.pk).calls == 1
    kept.delete()
    assert summed() == times(1)


@pytest.mark.postgres
def test_a_restored_database_is_named_and_keeps_no_other_workspace_waiting(
    workspace: Workspace, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    answered(run)
    fold(workspace)
    UsageCursor.objects.update(txid=2**60)
    other = make_workspace("other")
    answered(make_run(other))

    with pytest.raises(ConflictError, match=r"Sum it anew: `manage.py usage rebuild`"):
        usage_fold(workspace.pk, usage_keys)

    def others_are_folded() -> bool:
        usage_fold_all(usage_keys)
        return summed() == times(2)

    wait_for(others_are_folded, summed)
    assert "usage_not_folded" in caplog.messages
    assert usage_rebuild(workspace.pk, usage_keys) == 1
    assert summed() == times(2)


def test_a_workspace_whose_answers_cannot_be_added_up_keeps_no_other_waiting(
    workspace: Workspace, run: Run
) -> None:
    """Two answers of more tokens than a number of the database holds."""
    for _ in range(2):
        answered(run, usage={"input_tokens": 2**62 + 1, "output_tokens": 1})
    other = make_run(make_workspace("other"))
    answered(other)

    wait_for(
        lambda: usage_fold_all(usage_keys) or summed().calls, lambda: "nothing was ever folded"
    )

    assert (summed().calls, summed().input_tokens) == (1, 100)
