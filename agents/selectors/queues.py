"""Runs that wait: for a worker, or for something else; how many of each, and since when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from agents.contracts import RunState
from agents.models import Run
from core import clock
from governance import access
from governance.contracts import Actor, Perm
from plugins.contracts import WaitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQueue:
    """`wait` is what the runs wait for; none: a worker. `since` is when the first began to."""

    wait: WaitKind
    depth: int
    since: datetime | None


def run_queues(actor: Actor) -> Iterator[RunQueue]:
    """Yield the queue of runs that are due, then the waits of each kind, where the actor may look.

    Both counts are over partial indexes: runs that have ended are not looked at.
    """
    runs = access.scope(actor, Perm.RUN_VIEW, Run.objects.all())
    due = runs.filter(state=RunState.QUEUED.value, available_at__lte=clock.now())
    found = due.aggregate(depth=Count("pk"), since=Min("available_at"))
    yield RunQueue(wait=WaitKind.NONE, depth=found["depth"], since=found["since"])
    waiting = runs.filter(state=RunState.WAITING.value).order_by()
    counted = {
        kind: (depth, since)
        for kind, depth, since in waiting.values_list("wait_kind").annotate(
            Count("pk"), Min("updated_at")
        )
    }
    for kind in WaitKind:
        if kind is not WaitKind.NONE:
            depth, since = counted.get(kind.value, (0, None))
            yield RunQueue(wait=kind, depth=depth, since=since)


def runs_held() -> dict[object, int]:
    """Return how many runs each worker has, by its id; the site's figures, not a tenant's."""
    rows = Run.objects.filter(state=RunState.RUNNING.value).order_by()
    return dict(rows.values_list("worker_id").annotate(Count("pk")))
