"""Figures of the whole site for those who run it: counts and ages, no tenant's name or content."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TypeAlias

from django.db.models import Count, Min, Q, Sum

from agents.contracts import RunState
from agents.models import Agent, Run, Worker
from agents.selectors.workers import SILENT_AFTER_SECONDS
from agents.transitions import LIVE
from core import clock
from core.metrics.instruments import RECORDER
from plugins.contracts import WaitKind

Figure: TypeAlias = tuple[str, tuple[str, ...], float]


def agents_figures() -> Iterator[Figure]:
    """Yield gauges of `core.metrics.table`. For the site's own telemetry, never for a person."""
    yield from _runs()
    yield from _workers()
    yield from _agents()


def _runs() -> Iterator[Figure]:
    """Only runs that have not ended are counted: those that have are in the counters."""
    counted = {
        (state, wait): count
        for state, wait, count in Run.objects.filter(state__in=LIVE)
        .order_by()
        .values_list("state", "wait_kind")
        .annotate(Count("pk"))
    }
    for state in sorted(LIVE):
        waits = list(WaitKind) if state == RunState.WAITING.value else [WaitKind.NONE]
        for wait in waits:
            count = counted.pop((state, wait.value), 0)
            yield "agentry_runs", (state, wait.value), float(count)
    for labels, count in counted.items():
        yield "agentry_runs", labels, float(count)
    now = clock.now()
    due = Run.objects.filter(state=RunState.QUEUED.value, available_at__lte=now)
    oldest = due.aggregate(oldest=Min("available_at"))["oldest"]
    yield "agentry_queue_lag_seconds", (), (now - oldest).total_seconds() if oldest else 0.0


def _workers() -> Iterator[Figure]:
    since = clock.now() - timedelta(seconds=SILENT_AFTER_SECONDS)
    alive = Worker.objects.filter(seen_at__gt=since)
    found = alive.aggregate(
        draining=Count("pk", filter=Q(is_draining=True)),
        serving=Count("pk", filter=Q(is_draining=False)),
        capacity=Sum("capacity", filter=Q(is_draining=False)),
    )
    yield "agentry_workers", ("draining",), float(found["draining"])
    yield "agentry_workers", ("serving",), float(found["serving"])
    yield "agentry_worker_capacity", (), float(found["capacity"] or 0)


def _agents() -> Iterator[Figure]:
    """Agents of one name in several workspaces share a series: it is up when one of them is."""
    names = RECORDER.names("agent")
    for name in Agent.objects.order_by("pk").values_list("name", flat=True)[: names.most]:
        names.admitted(name)
    ready = Q(is_enabled=True, published__isnull=False)
    asked = [name for name in names.known() if "\x00" not in name]  # which no row can hold
    rows = Agent.objects.filter(name__in=asked).order_by().values_list("name")
    for name, ups in rows.annotate(ups=Count("pk", filter=ready)):
        yield "agentry_agent_up", (name,), float(ups > 0)
