"""Copies of the usage behind the page, to take away: CSV and JSON, exact to the last digit, read
while they are sent."""

import json
from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from itertools import chain
from typing import Any, Final

from agentry_site.console.cost.asked import Asked
from agents.selectors.cost import Period, Span, cost_steps
from core import clock
from core.api.sheets import sheet
from governance.contracts import Actor
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


def csv_lines(actor: Actor, asked: Asked) -> Iterator[bytes]:
    """Yield the lines of a table: one row for each hour or day, agent, model and user."""
    by = _by(asked)
    titles = [*(each.value for each in by), *_sums(UsageSum())]
    told = (
        [*_named(asked, cell), *_sums(usage).values()]
        for step in cost_steps(actor, asked.workspace_ids, _span(asked), by)
        for cell, usage in step.rows
    )
    return sheet(chain([titles], told))


def json_pieces(actor: Actor, asked: Asked) -> Iterator[bytes]:
    """Yield the same as one document, with the time it is of."""
    by, span = _by(asked), _span(asked)
    names = [each.value for each in by]
    head = {
        "period": asked.period.value,
        "since": span.since.isoformat(),
        "until": span.now.isoformat(),
    }
    yield f'{json.dumps(head)[:-1]}, "rows": ['.encode()
    counted_until: datetime | None = None
    separator = "\n "
    for step in cost_steps(actor, asked.workspace_ids, span, by):
        if step.counted_until is not None:
            counted_until = min(counted_until or step.counted_until, step.counted_until)
        for cell, usage in step.rows:
            row = dict(zip(names, _named(asked, cell), strict=True)) | _sums(usage)
            yield f"{separator}{json.dumps(row, ensure_ascii=False)}".encode()
            separator = ",\n "
    until = json.dumps(counted_until and counted_until.isoformat())
    yield f'\n], "counted_until": {until}}}\n'.encode()


def _span(asked: Asked) -> Span:
    return Span(period=asked.period, now=clock.now())


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
