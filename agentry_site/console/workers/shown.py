"""Workers as the page shows them: what each holds, how late its loop is, what may be asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.overview import Figure
from agentry_site.console.workers.queues import Queue
from agents.contracts import WorkerState
from agents.selectors.queues import runs_held
from agents.selectors.workers import worker_list, worker_state
from core.admin import count, moment, pill
from governance.contracts import Actor
from observability.selectors.profiles import ProcessSeen, processes_seen

MINUTES: Final = 5  # what a worker counts as lately
_PILLS: Final = {
    WorkerState.SERVING: ("alive", _("takes runs")),
    WorkerState.ASKED: ("draining", _("asked to drain")),
    WorkerState.DRAINING: ("draining", _("draining")),
    WorkerState.DRAINED: ("off", _("drained")),
    WorkerState.SILENT: ("silent", _("silent")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    id: UUID
    name: str
    url: str
    stands: WorkerState
    state: SafeString
    asked: str
    held: int
    capacity: int
    ended: int
    lag: str
    is_late: bool
    version: str
    started: SafeString | str
    seen: SafeString | str
    may_drain: bool
    may_undrain: bool
    profile_url: str


def worker_rows(actor: Actor) -> list[WorkerRow]:
    """Return the workers heard of in the last hour, the living first. For superusers."""
    held = runs_held()
    processes = {(seen.host, seen.pid): seen for seen in processes_seen(actor) if seen.is_alive}
    rows = [
        _row(worker, held.get(worker.pk, 0), processes.get((worker.host, worker.pid)))
        for worker in worker_list()
    ]
    return sorted(rows, key=lambda row: (row.stands is WorkerState.SILENT, row.name))


def _row(worker: Any, held: int, process: ProcessSeen | None) -> WorkerRow:
    stands = worker_state(worker)
    word, label = _PILLS[stands]
    lag = None if process is None else process.lag_p99_seconds
    is_asked = worker.drain_asked_at is not None
    asked = (
        gettext("asked by %(drain_asked_by)s") % {"drain_asked_by": worker.drain_asked_by}
        if is_asked
        else ""
    )
    if not is_asked and worker.is_draining and stands is not WorkerState.SILENT:
        asked = gettext("its process stops, or it was just put to work again")
    return WorkerRow(
        id=worker.pk,
        name=worker.name,
        url=reverse("admin:agents_worker_change", args=[worker.pk]),
        stands=stands,
        state=pill(word, label=str(label)),
        asked=asked,
        held=held,
        capacity=worker.capacity,
        ended=worker.ended_lately,
        lag="–" if lag is None else f"{lag * 1000:.1f} ms",
        is_late=(lag or 0) >= settings.LOOP_LAG_SECONDS,
        version=worker.version or "–",
        started=moment(worker.started_at),
        seen=moment(worker.seen_at),
        may_drain=stands is WorkerState.SERVING,
        may_undrain=is_asked and stands is not WorkerState.SILENT,
        profile_url="" if process is None else f"{reverse('admin:profiles')}?process={process.id}",
    )


def figures_of(
    ready: Queue, rows: Sequence[WorkerRow], *, alive: int, is_known: bool
) -> list[Figure]:
    """Return the numbers at the top; those of workers only for who may see them."""
    here = reverse("admin:workers")
    found = [
        Figure(
            key="ready", title=gettext("Ready"), value=ready.depth,
            note=gettext("the oldest is late")
            if ready.is_late else gettext("runs that wait for a worker"),
            icon="state-queued", tone="amber" if ready.is_late else "grey", url=ready.url,
            is_urgent=ready.is_late,
        )
    ]  # fmt: skip
    serving = [row for row in rows if row.stands is WorkerState.SERVING]
    taking = len(serving) if is_known else alive
    resting = sum(row.stands in {WorkerState.DRAINING, WorkerState.DRAINED} for row in rows)
    found.append(
        Figure(
            key="workers", title=gettext("Workers"),
            value=count(taking),
            note=gettext("take runs; %(resting)s drain or are drained") % {"resting": resting}
            if resting else gettext("take runs"),
            icon="workers", tone="green" if taking else "red", url=f"{here}#workers",
            is_urgent=not taking,
        )
    )  # fmt: skip
    if not is_known:
        return found
    living = [row for row in rows if row.stands is not WorkerState.SILENT]
    ended = sum(row.ended for row in living)
    room = sum(row.capacity for row in serving)
    return [
        *found,
        Figure(
            key="held", title=gettext("Held"), value=count(sum(row.held for row in living)),
            note=gettext("runs in workers; room for %(room)s") % {"room": count(room)},
            icon="state-running", tone="blue",
            url=f"{reverse('admin:agents_run_changelist')}?state=running",
        ),
        Figure(
            key="ended", title=gettext("Ended"), value=count(ended),
            note=gettext("runs in %(minutes)s minutes, %(ended)s a minute")
            % {"minutes": MINUTES, "ended": f"{ended / MINUTES:.1f}"},
            icon="state-succeeded", tone="green", url=f"{reverse('admin:agents_run_changelist')}",
        ),
    ]  # fmt: skip
