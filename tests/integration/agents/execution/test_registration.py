"""A worker's row says what anybody asks of a worker, its release among it."""

from importlib.metadata import version

import pytest

from agents.execution.registration import worker_seen
from agents.models import Worker
from core import clock
from core.ids import new_id

pytestmark = pytest.mark.django_db


def test_a_worker_reports_which_release_it_runs() -> None:
    worker_id = new_id()

    for running in (0, 2):
        worker_seen(
            worker_id=worker_id,
            name="one",
            capacity=4,
            running=running,
            is_draining=False,
            started_at=clock.now(),
        )

    worker = Worker.objects.get()
    assert (worker.pk, worker.running) == (worker_id, 2)
    assert worker.version == version("agentry-cloud")
