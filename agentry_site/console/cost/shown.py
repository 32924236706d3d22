"""The cost page in words and shapes: figures, bars, heat and tables, from one report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from agentry_site.console.cost.asked import SPANS, Asked
from agentry_site.console.cost.drawn import (
    GONE,
    Bar,
    HeatMap,
    bars_of,
    day_names,
    dollars,
    heat_of,
    hour_names,
    measured,
    short,
)
from agents.selectors.cost import CostReport, Spender, Totals
from core.admin import count, moment, money, pill
from observability.contracts import UsageSum


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    title: str
    value: SafeString | str
    note: str
    icon: str
    tone: str = "grey"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpenderRow:
    name: str
    note: str
    url: str
    cost: SafeString | str
    calls: str
    tokens: str
    share: int | None  # per cent of what is known of the period; None where nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    url: str
    name: str
    agent: str
    state: SafeString
    cost: SafeString | str
    at: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Addresses of lists this person can open; empty where they cannot."""

    runs: str
    models: str
    asked: Asked

    def agent(self, name: str) -> str:
        return self._runs(agent=name) if name else ""

    def user(self, name: str) -> str:
        return self._runs(user=name) if name else ""

    def model(self, name: str) -> str:
        return f"{self.models}?{urlencode({'q': name})}" if self.models and name else ""

    def _runs(self, **what: str) -> str:
        if not self.runs:
            return ""
        query = what | {"within": self.asked.period.value, "sort": "costliest"}
        if self.asked.workspace:
            query["workspace"] = self.asked.workspace
        return f"{self.runs}?{urlencode(query)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    is_empty: bool
    is_new: bool
    figures: tuple[Figure, ...]
    bars: tuple[Bar, ...]
    peak: str
    agents_by_hour: HeatMap
    models_by_day: HeatMap
    agents: tuple[SpenderRow, ...]
    models: tuple[SpenderRow, ...]
    users: tuple[SpenderRow, ...]
    runs: tuple[RunRow, ...]
    unknown: str
    forecast: str
    counted_until: SafeString | str


def report_shown(report: CostReport, asked: Asked, links: Links) -> Shown:
    totals = report.totals
    bars = bars_of(report, asked)
    return Shown(
        is_empty=not totals.period.calls,
        is_new=not (totals.period.calls or totals.before.calls or totals.month.calls),
        figures=_figures(totals, asked),
        bars=bars,
        peak=short(max((usage for _, usage in report.series), key=measured(asked)), asked),
        agents_by_hour=heat_of(
            report.agents_by_hour, asked, links.agent, hour_names(report.agents_by_hour)
        ),
        models_by_day=heat_of(
            report.models_by_day, asked, links.model, day_names(report.models_by_day)
        ),
        agents=_spenders(report.agents, totals, links.agent),
        models=_spenders(report.models, totals, links.model),
        users=_spenders(report.users, totals, links.user),
        runs=tuple(_run(run) for run in report.runs),
        unknown=_unknown(totals),
        forecast=totals.forecast.method if totals.forecast else "",
        counted_until=moment(totals.counted_until) if totals.counted_until else "",
    )


def _figures(totals: Totals, asked: Asked) -> tuple[Figure, ...]:
    period, forecast = totals.period, totals.forecast
    cached = _percent(period.cache_read_tokens, period.input_tokens)
    unknown = _percent(period.unknown_calls, period.calls)
    return (
        Figure(
            title=gettext("Last %(period)s") % {"period": SPANS[asked.period]},
            value=dollars(period), note=_change(totals), icon="cost", tone="blue",
        ),
        Figure(
            title=gettext("Today"), value=dollars(totals.today),
            note=gettext("since midnight UTC"), icon="sun",
        ),
        Figure(
            title=gettext("This month"), value=dollars(totals.month), icon="activity",
            note=ngettext("%(n)s call", "%(n)s calls", totals.month.calls)
            % {"n": count(totals.month.calls)},
        ),
        Figure(
            title=gettext("Forecast"),
            value=money(forecast.usd, is_partial=totals.month.is_floor) if forecast else "–",
            note=gettext("%(low)s to %(high)s by month’s end")
            % {"low": f"${forecast.low_usd:,.2f}", "high": f"${forecast.high_usd:,.2f}"}
            if forecast else gettext("after three complete days of usage"),
            icon="speed",
        ),
        Figure(
            title=gettext("Tokens"), value=count(period.input_tokens + period.output_tokens),
            note=gettext("%(out)s out, %(cached)s of input cached")
            % {"out": count(period.output_tokens), "cached": cached},
            icon="models",
        ),
        Figure(
            title=gettext("No known price"), value=unknown, icon="warning",
            note=gettext("%(unknown)s of %(all)s calls")
            % {"unknown": count(period.unknown_calls), "all": count(period.calls)},
            tone="amber" if period.unknown_calls else "green",
        ),
    )  # fmt: skip


def _change(totals: Totals) -> str:
    before, now = totals.before.cost_usd, totals.period.cost_usd
    if not before:
        return gettext("nothing known was spent before")
    change = round((now - before) / before * 100)
    told = {"percent": abs(change), "span": SPANS[totals.span.period]}
    if not change:
        return gettext("as much as the %(span)s before") % told
    if change > 0:
        return gettext("%(percent)s%% more than the %(span)s before") % told
    return gettext("%(percent)s%% less than the %(span)s before") % told


def _unknown(totals: Totals) -> str:
    usage = totals.period
    if not usage.is_floor:
        return ""
    tokens = count(usage.unknown_input_tokens + usage.unknown_output_tokens)
    return gettext(
        "%(unknown_calls)s of %(calls)s calls (%(tokens)s tokens) were answered by models whose "
        "price nobody knows. Amounts marked ≥ are what is known; budgets count %(unknown_usd)s "
        "for the rest, at the declared stand-in price."
    ) % {
        "unknown_calls": count(usage.unknown_calls),
        "calls": count(usage.calls),
        "tokens": tokens,
        "unknown_usd": money(totals.unknown_usd),
    }


def _percent(part: int, whole: int) -> str:
    if not part or not whole:
        return "0%"
    share = part / whole * 100
    return "<1%" if share < 1 else f"{share:.0f}%"


# --- who ----------------------------------------------------------------------------------------


def _spenders(
    spenders: Sequence[Spender], totals: Totals, link: Callable[[str], str]
) -> tuple[SpenderRow, ...]:
    whole = totals.period.cost_usd
    return tuple(
        SpenderRow(
            name=spender.name or str(GONE),
            note=spender.provider,
            url=link(spender.name),
            cost=dollars(spender.sum),
            calls=count(spender.sum.calls),
            tokens=count(spender.sum.input_tokens + spender.sum.output_tokens),
            share=_share(spender.sum, whole),
        )
        for spender in spenders
    )


def _share(usage: UsageSum, whole: Decimal) -> int | None:
    if not whole or (usage.is_floor and not usage.cost_usd):
        return None
    return round(usage.cost_usd / whole * 100)


def _run(run: Any) -> RunRow:
    return RunRow(
        url=reverse("admin:agents_run_change", args=[run.pk]),
        name=str(run.pk)[-8:],
        agent=run.agent_name,
        state=pill(run.state),
        cost=money(run.cost_usd, is_partial=run.cost_is_partial),
        at=moment(run.created_at),
    )
