"""Failures put together by their cause: the same code, and words alike but for what differs each
time, such as ids and numbers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.pages import list_url
from agents.contracts import RunState
from agents.selectors import run_filters
from agents.selectors.run_failures import run_failures, runs_succeeded
from agents.selectors.workers import worker_is_alive, worker_list
from core import clock
from core.admin import moment
from governance.contracts import Actor
from governance.selectors.channels import deliveries_failed
from plugins.selectors import call_failures

PERIODS: Final = {name: run_filters.PERIODS[name] for name in ("24h", "7d", "30d")}
MOST: Final = 5_000  # of each source, the newest
BARS: Final = 24
TEXT_CHARACTERS: Final = 180
BAR_HEIGHT: Final = 22

HANDLED: Final = "handled"  # a tool's error in a run that ended well: its model dealt with it
KINDS: Final = {
    "run": _("run"),
    "call": _("tool call"),
    "delivery": _("delivery"),
    "worker": _("worker"),
    HANDLED: _("dealt with"),
}

_SAME: Final = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "…"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "…"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "#"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that went wrong. `text` is None where it may not be read; `url` leads to it."""

    source: str
    code: str
    subject: str
    at: datetime
    url: str
    text: str | None = ""
    can_resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a trend, in the units of its drawing."""

    x: int
    y: int
    height: int
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Failures alike. `subjects` are the agents, tools or channels, the most affected first."""

    source: str
    code: str
    text: str
    is_hidden: bool
    count: int
    first_at: datetime
    last_at: datetime
    subjects: tuple[tuple[str, int], ...]
    bars: tuple[Bar, ...]
    list_url: str
    newest_url: str
    resume_url: str

    @property
    def kind(self) -> str:
        return str(KINDS[self.source])

    @property
    def first(self) -> SafeString | str:
        return moment(self.first_at)

    @property
    def last(self) -> SafeString | str:
        return moment(self.last_at)


def normalised(text: str) -> str:
    """Return the words of a failure without what differs from one to the next."""
    plain = " ".join(text.split())
    for pattern, sign in _SAME:
        plain = pattern.sub(sign, plain)
    return plain[:TEXT_CHARACTERS]


def causes(actor: Actor, period: str, *, most: int = MOST) -> list[Cause]:
    """Return what went wrong in the period where the actor may see it, the commonest first."""
    now = clock.now()
    since = now - PERIODS[period][1]
    alike: dict[tuple[str, str, str | None], list[Failure]] = defaultdict(list)
    for failure in _failures(actor, since, most):
        text = None if failure.text is None else normalised(failure.text)
        alike[failure.source, failure.code, text].append(failure)
    found = [_cause(key, failures, period, since=since, now=now) for key, failures in alike.items()]
    return sorted(found, key=lambda cause: (-cause.count, -cause.last_at.timestamp()))


def _failures(actor: Actor, since: datetime, most: int) -> Iterable[Failure]:
    for run in run_failures(actor=actor, since=since, most=most):
        yield Failure(
            source="run",
            code=run.code,
            text=run.reason,
            subject=run.agent,
            at=run.at,
            url=reverse("admin:agents_run_change", args=[run.run_id]),
            can_resume=run.state == RunState.YIELDED.value,
        )
    calls = call_failures(actor=actor, since=since, most=most)
    handled = runs_succeeded({call.run_id for call in calls})
    for call in calls:
        yield Failure(
            source=HANDLED if call.run_id in handled else "call",
            code=call.tool,
            text=call.reason,
            subject=call.tool,
            at=call.at,
            url=reverse("admin:plugins_toolcall_change", args=[call.call_id]),
        )
    for delivery in deliveries_failed(actor, since=since, most=most):
        yield Failure(
            source="delivery",
            code=delivery.event,
            text=delivery.last_error,
            subject=delivery.channel.name,
            at=delivery.settled_at or delivery.created_at,
            url=reverse("admin:governance_delivery_change", args=[delivery.pk]),
        )
    # Workers belong to the site: only those who run it are told of them.
    for worker in worker_list() if actor.is_superuser else ():
        if not worker_is_alive(worker) and worker.seen_at >= since:
            yield Failure(
                source="worker",
                code="silent",
                text=gettext("It has not reported itself any more, and was not asked to stop."),
                subject=worker.name,
                at=worker.seen_at,
                url=reverse("admin:agents_worker_change", args=[worker.pk]),
            )


def _cause(
    key: tuple[str, str, str | None],
    failures: list[Failure],
    period: str,
    *,
    since: datetime,
    now: datetime,
) -> Cause:
    source, code, text = key
    # Of calls the tool is the code already.
    whom = [failure.subject for failure in failures if failure.subject != code]
    moments = sorted(failure.at for failure in failures)
    newest = max(failures, key=lambda failure: failure.at)
    listed = {"error": code, "within": period}
    can_resume = any(failure.can_resume for failure in failures)
    resumed = urlencode({"state": RunState.YIELDED.value, **listed})
    return Cause(
        source=source,
        code=code,
        text=text or "",
        is_hidden=text is None,
        count=len(failures),
        first_at=moments[0],
        last_at=moments[-1],
        subjects=tuple(Counter(whom).most_common(3)),
        bars=trend(moments, since=since, now=now),
        list_url=_list_url(source, code, listed),
        newest_url=newest.url,
        resume_url=f"{reverse('admin:agents_run_all_resume')}?{resumed}" if can_resume else "",
    )


def _list_url(source: str, code: str, listed: Mapping[str, str]) -> str:
    """Return the list that holds the failures, as narrow as its filters can say."""
    label, query = {
        "run": ("agents.Run", dict(listed)),
        "call": ("plugins.ToolCall", {"state__exact": "failed", "q": code}),
        HANDLED: ("plugins.ToolCall", {"state__exact": "failed", "q": code}),
        "delivery": ("governance.Delivery", {"state__exact": "failed"}),
        "worker": ("agents.Worker", {}),
    }[source]
    return list_url(label, query.items())


def trend(moments: Iterable[datetime], *, since: datetime, now: datetime) -> tuple[Bar, ...]:
    """Return how many there were in each part of the period, the oldest first."""
    width = (now - since) / BARS
    counts = Counter(min(int((at - since) / width), BARS - 1) for at in moments if at >= since)
    highest = max(counts.values(), default=1)
    bars = []
    for part in range(BARS):
        height = max(2, round(BAR_HEIGHT * counts[part] / highest)) if counts[part] else 1
        begun = since + part * width
        bars.append(
            Bar(
                x=part * 5,
                y=BAR_HEIGHT - height,
                height=height,
                title=gettext("%(n)s from %(begun)s UTC")
                % {"n": counts[part], "begun": date_format(begun, "j M, H:i")},
            )
        )
    return tuple(bars)
