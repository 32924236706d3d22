"""Reading the engines that are alive."""

from datetime import timedelta

from django.db.models import QuerySet

from agents.contracts import WorkerState
from agents.models import Worker
from core import clock

SILENT_AFTER_SECONDS = 60.0
FORGOTTEN_AFTER_SECONDS = 3_600.0


def worker_list() -> QuerySet[Worker]:
    """Return the workers heard of in the last hour. They belong to the site, not to a tenant."""
    since = clock.now() - timedelta(seconds=FORGOTTEN_AFTER_SECONDS)
    return Worker.objects.filter(seen_at__gt=since)


def worker_is_alive(worker: Worker) -> bool:
    """Say whether the worker has reported itself recently enough to count on."""
    return worker.seen_at > clock.now() - timedelta(seconds=SILENT_AFTER_SECONDS)


def worker_state(worker: Worker) -> WorkerState:
    """Say how a worker stands, the gravest first."""
    if not worker_is_alive(worker):
        return WorkerState.SILENT
    if worker.is_draining:
        return WorkerState.DRAINING if worker.running else WorkerState.DRAINED
    return WorkerState.ASKED if worker.drain_asked_at else WorkerState.SERVING


def workers_alive() -> int:
    return _alive().count()


def workers_serving() -> int:
    """Return how many workers take runs: they are alive, and neither drain nor are drained."""
    return _alive().filter(is_draining=False).count()


def _alive() -> QuerySet[Worker]:
    since = clock.now() - timedelta(seconds=SILENT_AFTER_SECONDS)
    return Worker.objects.filter(seen_at__gt=since)
