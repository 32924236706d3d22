"""The embedded site: its beat runs the sweep in this very process."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import signals

from agentry_site import embedded
from agents.contracts import RunState
from agents.models import Run
from core import clock
from governance.models import IdempotencyRecord
from tests.factories.agents import make_run
from tests.factories.governance import make_workspace

pytestmark = [pytest.mark.sqlite, pytest.mark.django_db(transaction=True)]
PATIENCE_SECONDS = 30.0


class Finished:
    """Hears of tasks that ended, by name."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._states: dict[str, str] = {}

    def __call__(self, *, task: Any, state: str, **_: Any) -> None:
        with self._told:
            self._states[task.name] = state
            self._told.notify_all()

    def wait_for(self, *names: str) -> dict[str, str]:
        with self._told:
            self._told.wait_for(lambda: set(names) <= set(self._states), PATIENCE_SECONDS)
            return dict(self._states)


@pytest.fixture
def finished() -> Iterator[Finished]:
    heard = Finished()
    signals.task_postrun.connect(heard, weak=False)
    yield heard
    signals.task_postrun.disconnect(heard)


def test_beat_sweeps_and_purges_in_this_process(
    finished: Finished, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine has a sweep of its own, so here it stays off and beat has to do it."""
    settings.ENGINE_MODE = "embedded"
    monkeypatch.setattr(embedded, "host_start", lambda: None)
    monkeypatch.setattr(embedded, "host_stop", lambda: None)
    run = make_run(make_workspace())
    Run.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING.value, lease_until=clock.now() - timedelta(seconds=5), fence=1
    )
    site = embedded.Embedded()

    site.start()
    try:
        states = finished.wait_for("agents.sweep", "governance.purge")
    finally:
        site.stop()

    run.refresh_from_db()
    assert states["agents.sweep"] == "SUCCESS"
    assert states["governance.purge"] == "SUCCESS"
    assert run.state == RunState.QUEUED.value
    assert run.crashes == 1
    assert IdempotencyRecord.objects.count() == 0
