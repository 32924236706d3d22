"""What was spent, on what and by whom: one report, for the page, the API and the command line."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

from agents.contracts import Usage
from agents.models import Run
from agents.pricing import dollars_of, stand_in
from agents.selectors.forecast import MAX_DAYS, Forecast, forecast_of
from agents.selectors.usage import usage_keys
from core import clock
from core.errors import PermissionDeniedError
from core.ids import first_id_at
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.users import user_names
from observability.contracts import UsageSum
from observability.selectors.usage import Cell, Dimension, UsageReader, hours_back, usage_read

SPENDERS: Final = 10
MAX_ROWS: Final = 5_000
NO_USAGE: Final = UsageSum()

Sums: TypeAlias = dict[Cell, UsageSum]


class Period(StrEnum):
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def hours(self) -> int:
        return {"24h": 24, "7d": 7 * 24, "30d": 30 * 24}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Full hours from `since` to the present one, and as long a time before."""

    period: Period
    now: datetime

    @property
    def since(self) -> datetime:
        return hours_back(self.period.hours - 1)

    @property
    def until(self) -> datetime:
        return hours_back(-1)

    @property
    def before(self) -> datetime:
        return self.since - timedelta(hours=self.period.hours)

    @property
    def today(self) -> datetime:
        return self.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    @property
    def month(self) -> datetime:
        return self.today.replace(day=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Amounts of several times; `counted_until` as UsageReader has it."""

    span: Span
    period: UsageSum
    before: UsageSum
    today: UsageSum
    month: UsageSum
    forecast: Forecast | None
    counted_until: datetime | None

    @property
    def unknown_usd(self) -> Decimal:
        """What budgets counted for the calls of the period that have no known price."""
        return unknown_charge(self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Usage of some names over columns of time, dearest first; what is left over is `others`."""

    columns: tuple[Any, ...]
    rows: tuple[tuple[str, tuple[UsageSum, ...]], ...]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """`provider` is of models only, `key` the id of a user."""

    name: str
    sum: UsageSum
    key: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    totals: Totals
    series: tuple[tuple[datetime, UsageSum], ...]
    agents_by_hour: Heat
    models_by_day: Heat
    agents: tuple[Spender, ...]
    models: tuple[Spender, ...]
    users: tuple[Spender, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """Usage by some dimensions; `left_out` rows, the cheapest, are not in it."""

    totals: Totals
    by: tuple[Dimension, ...]
    rows: tuple[tuple[Cell, UsageSum], ...]
    left_out: int


def unknown_charge(usage: UsageSum) -> Decimal:
    """Return what the stand-in price makes of the tokens whose price nobody knows."""
    return dollars_of(
        stand_in(),
        Usage(input_tokens=usage.unknown_input_tokens, output_tokens=usage.unknown_output_tokens),
    )


def cost_report(actor: Actor, workspace_ids: Collection[UUID], period: Period) -> CostReport:
    """Report on workspaces in which the caller has asked for the permission budget.view.

    Raises:
        UnavailableError: Usage is added up faster than it can be read.
    """
    span = Span(period=period, now=clock.now())
    return usage_read(
        workspace_ids, usage_keys, lambda reader: _report(actor, workspace_ids, reader, span)
    )


def cost_table(
    actor: Actor, workspace_id: UUID, period: Period, by: Sequence[Dimension]
) -> CostTable:
    """Sum one workspace by dimensions; times in order, everything else dearest first.

    Raises:
        NotFoundError, PermissionDeniedError: As `access.require` does, for budget.view.
        UnavailableError: Usage is added up faster than it can be read.
    """
    access.require(actor, Perm.BUDGET_VIEW, workspace_id)
    span = Span(period=period, now=clock.now())

    def work(reader: UsageReader) -> tuple[Totals, Sums]:
        rows = reader.sums(*by, since=span.since, until=span.until) if by else {}
        period = reader.total(since=span.since, until=span.until)
        return _totals(reader, span, period), rows

    totals, sums = usage_read([workspace_id], usage_keys, work)
    dearest = sorted(sums.items(), key=lambda each: _rank(each[1]))
    kept = _named_users(dearest[:MAX_ROWS], by)
    if by and by[0] in {Dimension.HOUR, Dimension.DAY}:
        kept.sort(key=lambda each: (each[0][0], _rank(each[1])))
    return CostTable(
        totals=totals, by=tuple(by), rows=tuple(kept), left_out=len(dearest) - len(kept)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostStep:
    """Every cell of one hour or day, in the order of the dimensions behind the time."""

    counted_until: datetime | None
    rows: tuple[tuple[Cell, UsageSum], ...]


def cost_steps(
    actor: Actor, workspace_ids: Collection[UUID], span: Span, by: Sequence[Dimension]
) -> Iterator[CostStep]:
    """Yield every cell of the period, one hour or day after the other, for a copy to take away.

    The first dimension is the time, HOUR or DAY. One step is held at a time, and each is one
    consistent look: what an answer costs is in the one step of its time, folded or not. Whoever
    reads slowly is asked for budget.view again before each.

    Raises:
        PermissionDeniedError: It is not held any more in one of the workspaces.
        UnavailableError: Usage is added up faster than it can be read.
    """
    length = timedelta(hours=1) if by[0] is Dimension.HOUR else timedelta(days=1)
    since = span.since
    while since < span.until:
        # Days begin at midnight, the period at any hour.
        day = since.replace(hour=0) if length.days else since
        until = min(day + length, span.until)
        _require_all(actor, workspace_ids)
        yield _step(workspace_ids, by, since, until)
        since = until


def _require_all(actor: Actor, workspace_ids: Collection[UUID]) -> None:
    held = access.permitted_workspace_ids(actor, Perm.BUDGET_VIEW).filter(pk__in=workspace_ids)
    if held.count() < len(set(workspace_ids)):
        raise PermissionDeniedError(
            f"This needs the permission {Perm.BUDGET_VIEW} in every workspace that was chosen.",
            remedy="Choose again: the page offers those where you hold it.",
        )


def _step(
    workspace_ids: Collection[UUID], by: Sequence[Dimension], since: datetime, until: datetime
) -> CostStep:
    def work(reader: UsageReader) -> tuple[Sums, datetime | None]:
        return reader.sums(*by, since=since, until=until), reader.counted_until

    sums, counted_until = usage_read(workspace_ids, usage_keys, work)
    rows = sorted(_named_users(list(sums.items()), by), key=lambda row: row[0])
    return CostStep(counted_until=counted_until, rows=tuple(rows))


def _rank(usage: UsageSum) -> tuple[Decimal, int]:
    """Dearest first; what has no price, by its tokens."""
    return -usage.cost_usd, -(usage.input_tokens + usage.output_tokens)


def _totals(reader: UsageReader, span: Span, period: UsageSum) -> Totals:
    looked_back = min(span.month, span.today - timedelta(days=MAX_DAYS))
    days = reader.sums(Dimension.DAY, since=looked_back, until=span.until)
    month = _sum(usage for (day,), usage in days.items() if day >= span.month)
    return Totals(
        span=span,
        period=period,
        before=reader.total(since=span.before, until=span.since),
        today=days.get((span.today,), NO_USAGE),
        month=month,
        forecast=forecast_of(
            {day.date(): usage.cost_usd for (day,), usage in days.items()},
            month_usd=month.cost_usd,
            now=span.now.astimezone(UTC),
        ),
        counted_until=reader.counted_until,
    )


def _report(
    actor: Actor, workspace_ids: Collection[UUID], reader: UsageReader, span: Span
) -> CostReport:
    since, until = span.since, span.until
    is_day = span.period is Period.DAY
    hour = Dimension.HOUR if is_day else Dimension.HOUR_OF_DAY
    by_hour = reader.sums(Dimension.AGENT, hour, since=since, until=until)
    hours = _hours(span) if is_day else tuple(range(24))
    days = _days(span)
    by_day = reader.sums(Dimension.MODEL, Dimension.DAY, since=days[0], until=span.until)
    # The same cells in other heaps: each grouping of a month is a query that is felt.
    series = _heaped(by_hour if is_day else by_day, place=1)
    models = reader.sums(Dimension.MODEL, Dimension.PROVIDER, since=since, until=until)
    users = reader.sums(Dimension.USER, since=since, until=until)
    return CostReport(
        totals=_totals(reader, span, _sum(by_hour.values())),
        series=tuple((at, series.get(at, NO_USAGE)) for at in (_hours(span) if is_day else days)),
        agents_by_hour=_heat(by_hour, hours),
        models_by_day=_heat(by_day, days),
        agents=_spenders(_heaped(by_hour, place=0)),
        models=_models(models),
        users=_users(users),
        runs=_dearest_runs(actor, workspace_ids, span.since),
    )


def _hours(span: Span) -> tuple[datetime, ...]:
    return tuple(span.since + timedelta(hours=each) for each in range(span.period.hours))


def _days(span: Span) -> tuple[datetime, ...]:
    """The days of the period, a week at least, until today."""
    count = max(span.period.hours // 24, 7)
    return tuple(span.today - timedelta(days=each) for each in reversed(range(count)))


def _heaped(sums: Sums, *, place: int) -> dict[Any, UsageSum]:
    """Add up over everything but one dimension."""
    totals: dict[Any, UsageSum] = defaultdict(UsageSum)
    for cell, usage in sums.items():
        totals[cell[place]] += usage
    return totals


def _heat(sums: Sums, columns: tuple[Any, ...]) -> Heat:
    names = sorted(_heaped(sums, place=0).items(), key=lambda each: _rank(each[1]))
    return Heat(
        columns=columns,
        rows=tuple(
            (name, tuple(sums.get((name, column), NO_USAGE) for column in columns))
            for name, _ in names[:SPENDERS]
        ),
        others=max(len(names) - SPENDERS, 0),
    )


def _spenders(sums: Mapping[str, UsageSum]) -> tuple[Spender, ...]:
    dearest = sorted(sums.items(), key=lambda each: _rank(each[1]))
    return tuple(Spender(name=name, sum=usage) for name, usage in dearest[:SPENDERS])


def _models(sums: Sums) -> tuple[Spender, ...]:
    dearest = sorted(sums.items(), key=lambda each: _rank(each[1]))
    return tuple(
        Spender(name=model, provider=provider, sum=usage)
        for (model, provider), usage in dearest[:SPENDERS]
    )


def _users(sums: Sums) -> tuple[Spender, ...]:
    dearest = sorted(sums.items(), key=lambda each: _rank(each[1]))[:SPENDERS]
    names = user_names([cell[0] for cell, _ in dearest])
    return tuple(Spender(name=names.get(key, ""), key=key, sum=usage) for (key,), usage in dearest)


def _named_users(
    rows: Sequence[tuple[Cell, UsageSum]], by: Sequence[Dimension]
) -> list[tuple[Cell, UsageSum]]:
    """Put usernames in the place of ids; who is gone has none."""
    if Dimension.USER not in by:
        return list(rows)
    place = list(by).index(Dimension.USER)
    names = user_names({cell[place] for cell, _ in rows})
    return [
        ((*cell[:place], names.get(cell[place], ""), *cell[place + 1 :]), usage)
        for cell, usage in rows
    ]


def _dearest_runs(
    actor: Actor, workspace_ids: Collection[UUID], since: datetime
) -> tuple[Run, ...]:
    """The dearest runs that began in the time, of those the actor may see."""
    rows = Run.objects.filter(
        workspace_id__in=workspace_ids, pk__gte=first_id_at(since.timestamp()), cost_usd__gt=0
    )
    seen = access.scope(actor, Perm.RUN_VIEW, rows).select_related("workspace")
    wanted = ("agent_name", "state", "cost_usd", "cost_is_partial", "created_at", "workspace__name")
    return tuple(seen.order_by("-cost_usd", "-id").only(*wanted)[:SPENDERS])


def _sum(parts: Any) -> UsageSum:
    return sum(parts, start=NO_USAGE)
