"""The first page: what runs, what waits, what goes wrong, what it costs; each number is a list.

A run's count is taken with the filters of the list it leads to, so that the two always agree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.causes import HANDLED, Cause, causes
from agentry_site.console.pages import list_url, open_list
from agentry_site.console.spending import spent_today
from agents.selectors.run_failures import oldest_queued_at
from agents.selectors.run_filters import filters_from
from agents.selectors.run_finding import (
    readable_workspaces,
    runs_counted,
    runs_found,
    runs_page,
)
from agents.selectors.workers import SILENT_AFTER_SECONDS
from core import clock
from core.admin import count, moment, money, pill, relative
from governance.contracts import Actor, ApprovalState, Perm
from governance.guard.admin import may_somewhere
from governance.guard.authentication import actor_of
from governance.selectors.approvals import approval_list

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

NEWEST: Final = 8
CAUSES: Final = 5
FAILURES_LOOKED_AT: Final = 500
COUNTED: Final = 10_000
LATE_SECONDS: Final = 60  # a run that waits longer for a worker is a reason to look


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with the list behind it; `is_urgent` when somebody should look."""

    key: str
    title: str
    value: SafeString | str
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
    causes: tuple[Cause, ...]
    has_workers: bool
    may_see_runs: bool
    may_start: bool
    runs_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    key: str
    title: "StrOrPromise"
    note: "StrOrPromise"
    icon: str
    tone: str
    query: tuple[tuple[str, str], ...]
    is_urgent: bool = False


_OF_RUNS: Final = (
    _Question(
        key="running", title=_("Running"), note=_("driven by a worker now"), icon="state-running",
        tone="blue", query=(("state", "running"),),
    ),
    _Question(
        key="queued", title=_("Queued"), note=_("about to be taken up"), icon="state-queued",
        tone="grey", query=(("state", "queued"),),
    ),
    _Question(
        key="waiting", title=_("Waiting"), note=_("for a person, a child or a timer"),
        icon="state-waiting", tone="amber", query=(("state", "waiting"),),
    ),
    _Question(
        key="failed", title=_("Failed"), note=_("of the last 24 hours"), icon="state-failed",
        tone="red", query=(("state", "failed"), ("within", "24h")), is_urgent=True,
    ),
)  # fmt: skip


def overview_of(site: AdminSite, request: HttpRequest) -> Overview:
    """Gather what this person may see; pages they may not open are left out."""
    actor = actor_of(request)
    may_see_runs = _page_rows(site, request, "agents.Run") is not None
    workers = _page_rows(site, request, "agents.Worker")
    return Overview(
        figures=tuple(_figures(site, request, actor, may_see_runs, workers)),
        runs=_newest(actor) if may_see_runs else (),
        causes=_causes(actor) if may_see_runs else (),
        has_workers=workers is None or workers.filter(seen_at__gt=_heard_since()).exists(),
        may_see_runs=may_see_runs,
        may_start=may_somewhere(request, actor, Perm.RUN_START),
        runs_url=list_url("agents.Run"),
    )


def _causes(actor: Actor) -> tuple[Cause, ...]:
    """What somebody should look at: not the errors of tools that models dealt with themselves."""
    found = causes(actor, "24h", most=FAILURES_LOOKED_AT)
    return tuple(cause for cause in found if cause.source != HANDLED)[:CAUSES]


def _figures(
    site: AdminSite,
    request: HttpRequest,
    actor: Actor,
    may_see_runs: bool,
    workers: QuerySet[Any] | None,
) -> Iterator[Figure]:
    if may_see_runs:
        yield from (_of_runs(question, actor) for question in _OF_RUNS)
    if _page_rows(site, request, "governance.Approval") is not None:
        yield _approvals(actor)
    calls = _page_rows(site, request, "plugins.ToolCall")
    if calls is not None:
        yield _doubtful(calls)
    if may_see_runs:
        yield _spent(site, actor)
    if workers is not None:
        yield _workers(workers)


def _page_rows(site: AdminSite, request: HttpRequest, label: str) -> QuerySet[Any] | None:
    page = open_list(site, request, label)
    return None if page is None else page.get_queryset(request)


def _of_runs(question: _Question, actor: Actor) -> Figure:
    asked: dict[str, list[str]] = {name: [value] for name, value in question.query}
    found = runs_counted(runs_found(actor, filters_from(asked)).runs, bound=COUNTED)
    oldest = oldest_queued_at(actor=actor) if question.key == "queued" and found else None
    is_late = oldest is not None and oldest < clock.now() - timedelta(seconds=LATE_SECONDS)
    return Figure(
        key=question.key,
        title=str(question.title),
        value=f"{count(COUNTED)}+" if found > COUNTED else count(found),
        note=str(question.note)
        if oldest is None
        else gettext("the oldest ready %(oldest)s") % {"oldest": relative(oldest)},
        icon=question.icon,
        tone="amber" if is_late else question.tone,
        url=list_url("agents.Run", question.query),
        is_urgent=(question.is_urgent and found > 0) or is_late,
    )


def _approvals(actor: Actor) -> Figure:
    """How many questions are open, since when the oldest one, and when the next one expires."""
    pending = approval_list(actor).filter(state=ApprovalState.PENDING.value)
    oldest = pending.order_by("pk").values_list("created_at", flat=True).first()
    expiring = pending.filter(expires_at__isnull=False).order_by("expires_at")
    expires_at = expiring.values_list("expires_at", flat=True).first()
    note = gettext("a person must say yes or no")
    if oldest is not None:
        note = gettext("the oldest asked %(oldest)s") % {"oldest": relative(oldest)}
    if expires_at is not None:
        is_over = expires_at <= clock.now()
        note += (
            gettext(", one is expiring")
            if is_over
            else gettext(", one expires %(expires_at)s") % {"expires_at": relative(expires_at)}
        )
    return Figure(
        key="approvals",
        title=gettext("Approvals"),
        value=count(pending.count()),
        note=note,
        icon="approvals",
        tone="amber",
        url=list_url("governance.Approval", (("state__exact", "pending"),)),
        is_urgent=expires_at is not None,
    )


def _doubtful(calls: QuerySet[Any]) -> Figure:
    found = calls.filter(state="in_doubt").count()
    return Figure(
        key="doubtful",
        title=gettext("Calls in doubt"),
        value=count(found),
        note=gettext("somebody must say what happened"),
        icon="state-in_doubt",
        tone="amber",
        url=list_url("plugins.ToolCall", (("state__exact", "in_doubt"),)),
        is_urgent=found > 0,
    )


def _spent(site: AdminSite, actor: Actor) -> Figure:
    spent = spent_today(actor)
    note = gettext("by runs begun today, UTC")
    if spent.limit_usd is not None:
        note = gettext("of %(limit_usd)s a day") % {"limit_usd": money(spent.limit_usd)}
    elif spent.is_over:
        note = gettext("a workspace's budget of the day is used up")
    if spent.is_partial:
        note = gettext("at least, %(note)s") % {"note": note}
    since = f"{spent.since:%Y-%m-%dT%H:%M}"
    has_page = any(page.name == "cost" for page in getattr(site, "pages", ()))
    by_run = list_url("agents.Run", (("since", since), ("sort", "costliest")))
    return Figure(
        key="spent",
        title=gettext("Spent today"),
        value=money(spent.usd),
        note=note,
        icon="cost",
        tone="red" if spent.is_over else "green",
        url=reverse("admin:cost") if has_page else by_run,
        is_urgent=spent.is_over,
    )


def _workers(rows: QuerySet[Any]) -> Figure:
    alive = list(rows.filter(seen_at__gt=_heard_since()))
    driven = sum(worker.running for worker in alive)
    resting = sum(worker.is_draining for worker in alive)
    note = gettext("nothing can start")
    if alive:
        note = ngettext("driving %(n)s run", "driving %(n)s runs", driven) % {"n": driven}
    if resting:
        note += ", " + gettext("%(n)s draining or drained") % {"n": resting}
    return Figure(
        key="workers",
        title=gettext("Workers alive"),
        value=count(len(alive)),
        note=note,
        icon="workers",
        tone="green" if len(alive) > resting else "red",
        url=reverse("admin:workers"),
        is_urgent=len(alive) <= resting,
    )


def _heard_since() -> datetime:
    return clock.now() - timedelta(seconds=SILENT_AFTER_SECONDS)


def _newest(actor: Actor) -> tuple[RunRow, ...]:
    page = runs_page(runs_found(actor, filters_from({})).runs, "newest", size=NEWEST)
    readable = readable_workspaces(actor, page.runs)
    return tuple(_run_row(run, is_readable=run.workspace_id in readable) for run in page.runs)


def _run_row(run: Any, *, is_readable: bool) -> RunRow:
    return RunRow(
        url=reverse("admin:agents_run_change", args=[run.pk]),
        agent=run.agent_name,
        excerpt=run.excerpt if is_readable else "",
        state=pill(run.state),
        tokens=count(run.input_tokens + run.output_tokens),
        cost=money(run.cost_usd, is_partial=run.cost_is_partial),
        at=moment(run.created_at),
    )
