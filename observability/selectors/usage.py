"""Usage summed up as it is asked for: the hours that are summed, and the tail that is not yet.

Nothing here asks whether the reader may see a workspace: callers have.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import ExtractHour, TruncDay

from core import clock
from core.errors import UnavailableError
from observability.contracts import DescribeAnswers, UsageKey, UsageSum
from observability.cursors import Position
from observability.models import UsageCursor, UsageHour
from observability.selectors.answers import answers_unsummed, hour_of, workspaces_with_news

TAIL: Final = 5_000  # answers; more than that are not read for one page
_TRIES: Final = 5
_SUMS: Final = tuple(field.name for field in fields(UsageSum))  # calls first

T = TypeVar("T")
Cell: TypeAlias = tuple[Any, ...]
_Positions: TypeAlias = dict[UUID, tuple[Position, datetime | None]]


class Dimension(StrEnum):
    """What usage can be told apart by. Hours and days are those of UTC."""

    WORKSPACE = "workspace"
    AGENT = "agent"
    MODEL = "model"
    PROVIDER = "provider"
    USER = "user"
    HOUR = "hour"
    DAY = "day"
    HOUR_OF_DAY = "hour_of_day"


_EXPRESSIONS: Final[dict[Dimension, Any]] = {
    Dimension.DAY: TruncDay("hour", tzinfo=UTC),
    Dimension.HOUR_OF_DAY: ExtractHour("hour", tzinfo=UTC),
}
_COLUMNS: Final = {Dimension.WORKSPACE: "workspace_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """Usage of the tail: not in the hours yet."""

    workspace_id: UUID
    hour: datetime
    key: UsageKey
    sum: UsageSum


class UsageReader:
    """One consistent look at the usage of some workspaces.

    `counted_until` is None where everything committed is counted, and else the moment until which
    it is: more has come than one look reads.
    """

    def __init__(
        self,
        workspace_ids: Collection[UUID],
        tail: Sequence[_Late],
        counted_until: datetime | None,
    ) -> None:
        self._workspace_ids = workspace_ids
        self._tail = tail
        self.counted_until = counted_until

    def sums(
        self, *by: Dimension, since: datetime, until: datetime, **only: str
    ) -> dict[Cell, UsageSum]:
        """Add up the full hours from `since` before `until`, for each cell of the dimensions.

        `only` narrows to an agent, a model, a provider or a user.
        """
        rows = UsageHour.objects.filter(
            workspace_id__in=self._workspace_ids, hour__gte=since, hour__lt=until, **only
        )
        names = [_COLUMNS.get(each, each.value) for each in by]
        named = {each.value: expression for each, expression in _EXPRESSIONS.items() if each in by}
        totals = {f"sum_{name}": Sum(name) for name in _SUMS}
        grouped: Iterable[Any] = (
            rows.order_by().annotate(**named).values(*names).annotate(**totals).values_list(
                *names, *totals
            )
            if names
            else [tuple(rows.aggregate(**totals)[name] for name in totals)]
        )  # fmt: skip
        width = len(names)
        found: dict[Cell, UsageSum] = defaultdict(UsageSum)
        for row in grouped:
            if row[width]:  # the calls
                found[row[:width]] = UsageSum(**dict(zip(_SUMS, row[width:], strict=True)))
        for late in self._tail:
            fits = all(getattr(late.key, name) == value for name, value in only.items())
            if fits and since <= late.hour < until:
                found[tuple(_value(late, each) for each in by)] += late.sum
        return dict(found)

    def total(self, *, since: datetime, until: datetime) -> UsageSum:
        return self.sums(since=since, until=until).get((), UsageSum())


def usage_read(
    workspace_ids: Collection[UUID], describe: DescribeAnswers, work: Callable[[UsageReader], T]
) -> T:
    """Do `work` with one look at the usage of the workspaces; return what it returns.

    Folding moves answers from the tail into the hours. When that happened between, `work` is done
    again, so that nothing is counted twice or missed.

    Raises:
        UnavailableError: It was folded each time; ask again.
    """
    for _ in range(_TRIES):
        before = _positions(workspace_ids)
        tail, counted_until = _tail(before, describe)
        done = work(UsageReader(workspace_ids, tail, counted_until))
        if _positions(workspace_ids) == before:
            return done
    raise UnavailableError(
        "Usage is being added up faster than it can be read.", remedy="Ask again in a moment."
    )


def _positions(workspace_ids: Collection[UUID]) -> _Positions:
    found: _Positions = dict.fromkeys(workspace_ids, ((0, 0), None))
    for row in UsageCursor.objects.filter(workspace_id__in=workspace_ids):
        found[row.workspace_id] = ((row.txid, row.event_id), row.folded_at)
    return found


def _tail(positions: _Positions, describe: DescribeAnswers) -> tuple[list[_Late], datetime | None]:
    """Read what is not summed yet; of a workspace with too much of it, say since when instead."""
    late: list[_Late] = []
    counted_until: datetime | None = None
    news = set(workspaces_with_news())
    for workspace_id, (position, folded_at) in positions.items():
        if folded_at is not None and workspace_id not in news:
            continue
        answers = answers_unsummed(workspace_id, position, limit=TAIL + 1)
        if len(answers) > TAIL:
            until = folded_at or answers[0].at
            counted_until = min(counted_until or until, until)
            continue
        late += [
            _Late(
                workspace_id=workspace_id,
                hour=hour_of(answer.at),
                key=key,
                sum=UsageSum.of(answer),
            )
            for answer, key in zip(answers, describe(answers), strict=True)
            if key is not None
        ]
    return late, counted_until


def _value(late: _Late, dimension: Dimension) -> Any:
    if dimension is Dimension.WORKSPACE:
        return late.workspace_id
    if dimension is Dimension.HOUR:
        return late.hour
    if dimension is Dimension.DAY:
        return late.hour.replace(hour=0)
    if dimension is Dimension.HOUR_OF_DAY:
        return late.hour.hour
    return getattr(late.key, dimension.value)


def hours_back(hours: int) -> datetime:
    """Return the beginning of the hour that lies so many before this one."""
    return hour_of(clock.now()) - timedelta(hours=hours)
