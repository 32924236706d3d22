"""The first page: what runs, what waits, what went wrong, who works; each number is a list.

A count is taken from the very rows the linked list shows, so that the two always agree.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from core import clock
from core.admin import count, moment, money, pill
from governance import access
from governance.contracts import Perm
from governance.guard.authentication import actor_of

NEWEST: Final = 8
WORKER_SILENT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with the list behind it; `is_urgent` when somebody should look."""

    title: str
    value: str
    note: str
    icon: str
    tone: str
    url: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    url: str
    agent: str
    excerpt: str
    state: SafeString
    tokens: str
    cost: SafeString | str
    at: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    figures: tuple[Figure, ...]
    runs: tuple[RunRow, ...]
    has_agents: bool
    has_models: bool
    has_workers: bool
    may_see_runs: bool
    may_start: bool
    runs_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    model: str
    title: str
    note: str
    icon: str
    tone: str
    filters: tuple[tuple[str, str], ...] = ()
    is_urgent_above: int | None = None


_QUESTIONS: Final = (
    _Question(
        model="agents.Run", title="Running", note="driven by a worker now", icon="state-running",
        tone="blue", filters=(("state__exact", "running"),),
    ),
    _Question(
        model="agents.Run", title="Queued", note="about to be taken up", icon="state-queued",
        tone="grey", filters=(("state__exact", "queued"),),
    ),
    _Question(
        model="agents.Run", title="Waiting", note="for a person, a child or a timer",
        icon="state-waiting", tone="amber", filters=(("state__exact", "waiting"),),
    ),
    _Question(
        model="agents.Run", title="Failed", note="ended without an answer", icon="state-failed",
        tone="red", filters=(("state__exact", "failed"),), is_urgent_above=0,
    ),
    _Question(
        model="governance.Approval", title="Approvals", note="a person must say yes or no",
        icon="approvals", tone="amber", filters=(("state__exact", "pending"),),
    ),
    _Question(
        model="plugins.ToolCall", title="Calls in doubt", note="somebody must say what happened",
        icon="state-in_doubt", tone="amber", filters=(("state__exact", "in_doubt"),),
        is_urgent_above=0,
    ),
)  # fmt: skip


def overview_of(site: AdminSite, request: HttpRequest) -> Overview:
    """Gather what this person may see; pages they may not open are left out."""
    figures = [
        _figure(question, rows, request)
        for question in _QUESTIONS
        if (rows := _rows(site, request, question.model)) is not None
    ]
    workers = _rows(site, request, "agents.Worker")
    if workers is not None:
        figures.append(_workers(workers))
    runs = _rows(site, request, "agents.Run")
    return Overview(
        figures=tuple(figures),
        runs=tuple(_run_row(run) for run in runs[:NEWEST]) if runs is not None else (),
        has_agents=_has(site, request, "agents.Agent"),
        has_models=_has(site, request, "agents.Model"),
        has_workers=workers is None or workers.filter(seen_at__gt=_heard_since()).exists(),
        may_see_runs=runs is not None,
        may_start=_may_start(request),
        runs_url=_list_url("agents.Run"),
    )


def _may_start(request: HttpRequest) -> bool:
    return access.permitted_workspace_ids(actor_of(request), Perm.RUN_START).exists()


def _rows(site: AdminSite, request: HttpRequest, label: str) -> QuerySet[Any] | None:
    page = site._registry.get(apps.get_model(label))
    if page is None or not page.has_view_permission(request):
        return None
    return page.get_queryset(request)


def _has(site: AdminSite, request: HttpRequest, label: str) -> bool:
    rows = _rows(site, request, label)
    return rows is None or rows.exists()


def _figure(question: _Question, rows: QuerySet[Any], request: HttpRequest) -> Figure:
    found = rows.filter(**dict(question.filters)).count()
    return Figure(
        title=question.title,
        value=count(found),
        note=question.note,
        icon=question.icon,
        tone=question.tone,
        url=_list_url(question.model, question.filters),
        is_urgent=question.is_urgent_above is not None and found > question.is_urgent_above,
    )


def _workers(rows: QuerySet[Any]) -> Figure:
    alive = list(rows.filter(seen_at__gt=_heard_since()))
    driven = sum(worker.running for worker in alive)
    return Figure(
        title="Workers alive",
        value=count(len(alive)),
        note=f"driving {driven} runs" if alive else "nothing can start",
        icon="workers",
        tone="green" if alive else "red",
        url=_list_url("agents.Worker"),
        is_urgent=not alive,
    )


def _heard_since() -> Any:
    return clock.now() - timedelta(seconds=WORKER_SILENT_SECONDS)


def _run_row(run: Any) -> RunRow:
    return RunRow(
        url=reverse("admin:agents_run_change", args=[run.pk]),
        agent=run.agent_name,
        excerpt=run.input[:160] if run.is_readable else "",
        state=pill(run.state),
        tokens=count(run.input_tokens + run.output_tokens),
        cost=money(run.cost_usd, is_partial=run.cost_is_partial),
        at=moment(run.created_at),
    )


def _list_url(label: str, filters: tuple[tuple[str, str], ...] = ()) -> str:
    url = reverse(f"admin:{label.lower().replace('.', '_')}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url
