"""How data is printed: tables for people, JSON and YAML for programs. Data goes to stdout, talk
about it to stderr."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from agentry.cli.terminal import console, escaped, is_terminal, one_line, plain


class OutputFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Row: TypeAlias = Mapping[str, Any]

UNPROTECTED = (
    "WITHOUT A SANDBOX: it runs beside the worker, as the worker's own user, with its files and "
    "its network."
)


@dataclass(frozen=True, slots=True)
class Column:
    """`value` is a key of the row or a function of it. The text is cut to `width`."""

    title: str
    value: str | Callable[[Row], object]
    width: int = 60

    def text(self, row: Row) -> str:
        value = row.get(self.value) if isinstance(self.value, str) else self.value(row)
        return one_line(shown(value), width=self.width)


def shown(value: object) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return compact(value)
    return str(value)


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)


def print_table(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    cells = [[column.text(row) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    if is_terminal(sys.stdout):
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, title in enumerate(titles):
            is_whole = number == 0 or any(row[number] in _NEVER_CUT for row in cells)
            table.add_column(title, no_wrap=is_whole, overflow="fold")
        for cell_row in cells:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in cell_row))
        console().print(table)
        return
    widths = [max(len(row[i]) for row in [titles, *cells]) for i in range(len(titles))]
    for row in [titles, *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(line.rstrip())


_NEVER_CUT = frozenset({"UNPROTECTED"})
_STATE_STYLES = {
    "succeeded": "green",
    "committed": "green",
    "published": "green",
    "UNPROTECTED": "bold red",
    "failed": "red",
    "denied": "red",
    "in_doubt": "bold yellow",
    "cancelled": "dim",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "yielded": "yellow",
}


def _style(cell: str) -> str:
    return _STATE_STYLES.get(cell.split(" ", maxsplit=1)[0], "")


def print_record(record: Row) -> None:
    """All of a record as `name: value` lines."""
    print_fields(list(record.items()))


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Titles and values as `title: value` lines."""
    width = max(len(title) for title, _ in fields) + 1
    for title, value in fields:
        text = plain(shown(value))
        first, *rest = text.split("\n") or [""]
        print(f"{title + ':':<{width}} {first}".rstrip())
        for line in rest:
            print(f"{'':<{width}} {line}".rstrip())


def print_danger(sentence: str) -> None:
    """A sentence nobody should miss: red where colours are shown."""
    if is_terminal(sys.stdout):
        from rich.text import Text

        console().print(Text(plain(sentence), style="bold red"))
    else:
        print(plain(sentence))


def print_document(value: Any, form: OutputFormat) -> None:
    if form is OutputFormat.YAML:
        import yaml

        text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100)
    else:
        text = json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n"
    sys.stdout.write(escaped(text))
    sys.stdout.flush()


def dollars(usd: str | Decimal | None) -> str:
    """An amount as people write it: cents, and as many places more as it takes to say it."""
    if usd is None:
        return "-"
    whole, _, places = f"{Decimal(usd):f}".partition(".")
    return f"${whole}.{places.rstrip('0').ljust(2, '0')}"


def seconds_ago(text: object, now: datetime | None = None) -> str:
    """An ISO time as its age: `12s`, `5m`, `3h`, `8d`."""
    if not isinstance(text, str):
        return "-"
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        return text
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    age = int(((now or datetime.now(UTC)) - then).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if abs(age) >= size:
            return f"{age // size}{unit}"
    return f"{age}s"
