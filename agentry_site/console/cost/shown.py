"""The cost page in words and shapes: figures, bars, heat and tables, from one report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from typing import Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from agentry_site.console.cost.asked import Asked, Measure
from agents.selectors.cost import CostReport, Heat, Period, Spender, Totals
from core.admin import count, moment, money, pill
from observability.contracts import UsageSum

LEVELS: Final = 5
_WIDTH: Final = 1_000  # of the bars, in their own units
_HEIGHT: Final = 200
_GONE: Final = "nobody who is known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    title: str
    value: SafeString | str
    note: str
    icon: str
    tone: str = "grey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    label: str
    detail: str
    usage: UsageSum
    cost: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """`level` is how hot it is, 0 to LEVELS; the number says the same, the detail all of it."""

    text: str
    detail: str
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    name: str
    url: str
    cells: tuple[HeatCell, ...]
    total: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    columns: tuple[tuple[str, str], ...]  # short, and in full
    rows: tuple[HeatRow, ...]
    others: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpenderRow:
    name: str
    note: str
    url: str
    cost: SafeString | str
    calls: str
    tokens: str
    share: int  # per cent of the period


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
    bars = _bars(report, asked)
    return Shown(
        is_empty=not totals.period.calls,
        is_new=not (totals.period.calls or totals.before.calls or totals.month.calls),
        figures=_figures(totals, asked),
        bars=bars,
        peak=_short(max((usage for _, usage in report.series), key=_of(asked)), asked),
        agents_by_hour=_heat(
            report.agents_by_hour, asked, links.agent, _hour_names(report.agents_by_hour)
        ),
        models_by_day=_heat(
            report.models_by_day, asked, links.model, _day_names(report.models_by_day)
        ),
        agents=_spenders(report.agents, totals, links.agent),
        models=_spenders(report.models, totals, links.model),
        users=_spenders(report.users, totals, links.user),
        runs=tuple(_run(run) for run in report.runs),
        unknown=_unknown(totals),
        forecast=totals.forecast.method if totals.forecast else "",
        counted_until=moment(totals.counted_until) if totals.counted_until else "",
    )


def dollars(usage: UsageSum) -> SafeString | str:
    """Return a cost: a floor is marked, and one of which nothing is known is unknown, not 0."""
    if usage.is_floor and not usage.cost_usd:
        return "unknown"
    return money(usage.cost_usd, is_partial=usage.is_floor)


def _figures(totals: Totals, asked: Asked) -> tuple[Figure, ...]:
    period, forecast = totals.period, totals.forecast
    cached = _percent(period.cache_read_tokens, period.input_tokens)
    unknown = _percent(period.unknown_calls, period.calls)
    return (
        Figure(
            title=f"Last {asked.period.value}", value=dollars(period), note=_change(totals),
            icon="cost", tone="blue",
        ),
        Figure(title="Today", value=dollars(totals.today), note="since midnight UTC", icon="sun"),
        Figure(
            title="This month", value=dollars(totals.month), icon="activity",
            note=f"{count(totals.month.calls)} calls",
        ),
        Figure(
            title="Forecast",
            value=money(forecast.usd, is_partial=totals.month.is_floor) if forecast else "–",
            note=f"${forecast.low_usd:,.2f} to ${forecast.high_usd:,.2f} by month’s end"
            if forecast else "after three complete days of usage",
            icon="speed",
        ),
        Figure(
            title="Tokens", value=count(period.input_tokens + period.output_tokens),
            note=f"{count(period.output_tokens)} out, {cached} of input cached", icon="models",
        ),
        Figure(
            title="No known price", value=unknown, icon="warning",
            note=f"{count(period.unknown_calls)} of {count(period.calls)} calls",
            tone="amber" if period.unknown_calls else "green",
        ),
    )  # fmt: skip


def _change(totals: Totals) -> str:
    before, now = totals.before.cost_usd, totals.period.cost_usd
    if not before:
        return "nothing known was spent before"
    change = round((now - before) / before * 100)
    way = "as much as" if not change else f"{abs(change)}% {'more' if change > 0 else 'less'} than"
    return f"{way} the {_span(totals.span.period)} before"


def _span(period: Period) -> str:
    return {Period.DAY: "24 hours", Period.WEEK: "7 days", Period.MONTH: "30 days"}[period]


def _unknown(totals: Totals) -> str:
    usage = totals.period
    if not usage.is_floor:
        return ""
    tokens = count(usage.unknown_input_tokens + usage.unknown_output_tokens)
    return (
        f"{count(usage.unknown_calls)} of {count(usage.calls)} calls ({tokens} tokens) were "
        "answered by models whose price nobody knows. Amounts marked ≥ are what is known; budgets "
        "count "
        f"{money(totals.unknown_usd)} for the rest, at the declared stand-in price."
    )


def _percent(part: int, whole: int) -> str:
    if not part or not whole:
        return "0%"
    share = part / whole * 100
    return "<1%" if share < 1 else f"{share:.0f}%"


# --- bars ---------------------------------------------------------------------------------------


def _of(asked: Asked) -> Callable[[UsageSum], float]:
    if asked.measure is Measure.TOKENS:
        return lambda usage: float(usage.input_tokens + usage.output_tokens)
    return lambda usage: float(usage.cost_usd)


def _bars(report: CostReport, asked: Asked) -> tuple[Bar, ...]:
    value = _of(asked)
    peak = max((value(usage) for _, usage in report.series), default=0.0)
    step = _WIDTH / len(report.series)
    is_day = asked.period is Period.DAY
    bars = []
    for place, (at, usage) in enumerate(report.series):
        height = max(value(usage) / peak * _HEIGHT, 2.0) if peak and value(usage) else 0.0
        label = _hours_of(at) if is_day else date_format(at, "D j M")
        bars.append(
            Bar(
                x=round(place * step + step * 0.12, 2),
                y=round(_HEIGHT - height, 2),
                width=round(step * 0.76, 2),
                height=round(height, 2),
                label=label,
                detail=_detail(label, usage),
                usage=usage,
                cost=dollars(usage),
            )
        )
    return tuple(bars)


# --- heat ---------------------------------------------------------------------------------------


def _hours_of(at: datetime) -> str:
    return f"{date_format(at, 'D j M')}, {at.hour:02}–{(at.hour + 1) % 24:02} h"


def _hour_names(heat: Heat) -> tuple[tuple[str, str], ...]:
    if heat.columns and isinstance(heat.columns[0], int):
        return tuple((f"{hour:02}", f"{hour:02}–{(hour + 1) % 24:02} h") for hour in heat.columns)
    return tuple((f"{at.hour:02}", _hours_of(at)) for at in heat.columns)


def _day_names(heat: Heat) -> tuple[tuple[str, str], ...]:
    return tuple((date_format(at, "j"), date_format(at, "D j M")) for at in heat.columns)


def _heat(
    heat: Heat,
    asked: Asked,
    link: Callable[[str], str],
    columns: Sequence[tuple[str, str]],
) -> HeatMap:
    value = _of(asked)
    peak = max((value(usage) for _, cells in heat.rows for usage in cells), default=0.0)
    rows = []
    for name, usages in heat.rows:
        total = sum(usages, start=UsageSum())
        cells = tuple(
            HeatCell(
                text=_short(usage, asked),
                detail=_detail(f"{name or _GONE}, {full}", usage),
                level=_level(value(usage), peak),
            )
            for usage, (_, full) in zip(usages, columns, strict=True)
        )
        rows.append(
            HeatRow(name=name or _GONE, url=link(name), cells=cells, total=_short(total, asked))
        )
    return HeatMap(
        columns=tuple(columns),
        rows=tuple(rows),
        others=heat.others,
        note="+ has calls without a known price on top, ? only such calls"
        if asked.measure is Measure.COST and any(
            usage.is_floor for _, cells in heat.rows for usage in cells
        )
        else "",
    )  # fmt: skip


def _level(value: float, peak: float) -> int:
    """Return how hot a cell is; by the root, so that small ones can be told apart too."""
    if not peak or not value:
        return 0
    return max(1, min(LEVELS, round(sqrt(value / peak) * LEVELS)))


def _short(usage: UsageSum, asked: Asked) -> str:
    """Return a number that fits a cell."""
    if not usage.calls:
        return ""
    if asked.measure is Measure.TOKENS:
        return _short_count(usage.input_tokens + usage.output_tokens)
    if usage.is_floor and not usage.cost_usd:
        return "?"
    return _short_dollars(usage.cost_usd) + ("+" if usage.is_floor else "")


def _short_dollars(usd: Decimal) -> str:
    if not usd:
        return "0"
    if usd < Decimal("0.005"):
        return "<1¢"
    if usd < Decimal("0.995"):
        return f"{usd * 100:.0f}¢"
    if usd < Decimal("9.95"):
        return f"${usd:.1f}"
    return f"${usd:.0f}" if usd < 10_000 else f"${usd / 1000:.0f}k"


def _short_count(number: int) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return str(number)


def _detail(place: str, usage: UsageSum) -> str:
    if not usage.calls:
        return f"{place}: nothing"
    words = "call" if usage.calls == 1 else "calls"
    cost = "cost unknown" if usage.is_floor and not usage.cost_usd else f"${usage.cost_usd:,.4f}"
    if usage.is_floor and usage.cost_usd:
        cost = f"at least {cost}"
    told = (
        f"{place}: {cost}, {usage.calls:,} {words}, {usage.input_tokens:,} tokens in "
        f"({usage.cache_read_tokens:,} cached), {usage.output_tokens:,} out"
    )
    if usage.is_floor:
        told += f", {usage.unknown_calls:,} without a known price"
    return told


# --- who ----------------------------------------------------------------------------------------


def _spenders(
    spenders: Sequence[Spender], totals: Totals, link: Callable[[str], str]
) -> tuple[SpenderRow, ...]:
    whole = totals.period.cost_usd
    return tuple(
        SpenderRow(
            name=spender.name or _GONE,
            note=spender.provider,
            url=link(spender.name),
            cost=dollars(spender.sum),
            calls=count(spender.sum.calls),
            tokens=count(spender.sum.input_tokens + spender.sum.output_tokens),
            share=round(spender.sum.cost_usd / whole * 100) if whole else 0,
        )
        for spender in spenders
    )


def _run(run: Any) -> RunRow:
    return RunRow(
        url=reverse("admin:agents_run_change", args=[run.pk]),
        name=str(run.pk)[-8:],
        agent=run.agent_name,
        state=pill(run.state),
        cost=money(run.cost_usd, is_partial=run.cost_is_partial),
        at=moment(run.created_at),
    )
