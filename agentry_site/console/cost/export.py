"""Copies of the usage behind the page, to take away: CSV and JSON, exact to the last digit."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from agentry_site.console.cost.asked import Asked
from agents.selectors.cost import Period, cost_rows
from observability.contracts import UsageSum
from observability.selectors.usage import Cell, Dimension

_WHAT: Final = (
    Dimension.WORKSPACE,
    Dimension.AGENT,
    Dimension.MODEL,
    Dimension.PROVIDER,
    Dimension.USER,
)
_SUMS: Final = tuple(field.name for field in fields(UsageSum))
_LINES: Final = 1_000  # written at once
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(asked: Asked) -> Iterator[str]:
    """Return the lines of a table: one row for each hour or day, agent, model and user.

    Raises:
        UnavailableError: As `cost_rows` does; before the first line.
    """
    by = _by(asked)
    _, _, rows = cost_rows(asked.workspace_ids, asked.period, by)
    return _table(asked, by, rows)


def _table(
    asked: Asked, by: Sequence[Dimension], rows: Sequence[tuple[Cell, UsageSum]]
) -> Iterator[str]:
    yield _lines([[*(each.value for each in by), *_sums(UsageSum())]])
    for start in range(0, len(rows), _LINES):
        some = rows[start : start + _LINES]
        yield _lines(
            [*map(_safe, _named(asked, cell)), *_sums(usage).values()] for cell, usage in some
        )


def json_document(asked: Asked) -> str:
    """Return the same as one document, with the time it is of."""
    by = _by(asked)
    span, counted_until, rows = cost_rows(asked.workspace_ids, asked.period, by)
    names = [each.value for each in by]
    return json.dumps(
        {
            "period": asked.period.value,
            "since": span.since.isoformat(),
            "until": span.now.isoformat(),
            "counted_until": counted_until and counted_until.isoformat(),
            "rows": [
                dict(zip(names, _named(asked, cell), strict=True)) | _sums(usage)
                for cell, usage in rows
            ],
        },
        ensure_ascii=False,
        indent=1,
    )


def _by(asked: Asked) -> tuple[Dimension, ...]:
    step = Dimension.HOUR if asked.period is Period.DAY else Dimension.DAY
    return (step, *_WHAT)


def _named(asked: Asked, cell: Cell) -> list[str]:
    moment, workspace, *rest = cell
    assert isinstance(moment, datetime)
    return [moment.isoformat(), asked.names[workspace], *rest]


def _sums(usage: UsageSum) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(usage, name) for name in _SUMS}
    return told | {"cost_usd": f"{usage.cost_usd:.8f}", "is_floor": usage.is_floor}


def _safe(text: str) -> str:
    """A name is a name, also for a spreadsheet that would calculate with it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
