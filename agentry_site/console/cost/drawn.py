"""Bars and heat of the cost page: each number drawn, written, and told in full."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from typing import Final

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.cost.asked import Asked, Measure
from agents.selectors.cost import CostReport, Heat, Period
from core.admin import money
from observability.contracts import UsageSum

LEVELS: Final = 5
GONE: Final = _("nobody who is known")
_WIDTH: Final = 1_000  # of the bars, in their own units
_HEIGHT: Final = 200


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


def dollars(usage: UsageSum) -> SafeString | str:
    """Return a cost: a floor is marked, and one of which nothing is known is unknown, not 0."""
    if usage.is_floor and not usage.cost_usd:
        return gettext("unknown")
    return money(usage.cost_usd, is_partial=usage.is_floor)


# --- bars ---------------------------------------------------------------------------------------


def measured(asked: Asked) -> Callable[[UsageSum], float]:
    if asked.measure is Measure.TOKENS:
        return lambda usage: float(usage.input_tokens + usage.output_tokens)
    return lambda usage: float(usage.cost_usd)


def bars_of(report: CostReport, asked: Asked) -> tuple[Bar, ...]:
    value = measured(asked)
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


def hour_names(heat: Heat) -> tuple[tuple[str, str], ...]:
    if heat.columns and isinstance(heat.columns[0], int):
        return tuple((f"{hour:02}", f"{hour:02}–{(hour + 1) % 24:02} h") for hour in heat.columns)
    return tuple((f"{at.hour:02}", _hours_of(at)) for at in heat.columns)


def day_names(heat: Heat) -> tuple[tuple[str, str], ...]:
    return tuple((date_format(at, "j"), date_format(at, "D j M")) for at in heat.columns)


def heat_of(
    heat: Heat,
    asked: Asked,
    link: Callable[[str], str],
    columns: Sequence[tuple[str, str]],
) -> HeatMap:
    value = measured(asked)
    peak = max((value(usage) for _, cells in heat.rows for usage in cells), default=0.0)
    rows = []
    for name, usages in heat.rows:
        total = sum(usages, start=UsageSum())
        cells = tuple(
            HeatCell(
                text=short(usage, asked),
                detail=_detail(f"{name or GONE}, {full}", usage),
                level=_level(value(usage), peak),
            )
            for usage, (_, full) in zip(usages, columns, strict=True)
        )
        rows.append(
            HeatRow(name=name or str(GONE), url=link(name), cells=cells, total=short(total, asked))
        )
    return HeatMap(
        columns=tuple(columns),
        rows=tuple(rows),
        others=heat.others,
        note=gettext("+ has calls without a known price on top, ? only such calls")
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


def short(usage: UsageSum, asked: Asked) -> str:
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
        return gettext("%(place)s: nothing") % {"place": place}
    cost = (
        gettext("cost unknown")
        if usage.is_floor and not usage.cost_usd
        else f"${usage.cost_usd:,.4f}"
    )
    if usage.is_floor and usage.cost_usd:
        cost = gettext("at least %(cost)s") % {"cost": cost}
    told = ngettext(
        "%(place)s: %(cost)s, %(calls)s call, %(in)s tokens in (%(cached)s cached), %(out)s out",
        "%(place)s: %(cost)s, %(calls)s calls, %(in)s tokens in (%(cached)s cached), %(out)s out",
        usage.calls,
    ) % {
        "place": place,
        "cost": cost,
        "calls": f"{usage.calls:,}",
        "in": f"{usage.input_tokens:,}",
        "cached": f"{usage.cache_read_tokens:,}",
        "out": f"{usage.output_tokens:,}",
    }
    if usage.is_floor:
        told += gettext(", %(unknown_calls)s without a known price") % {
            "unknown_calls": f"{usage.unknown_calls:,}"
        }
    return told
