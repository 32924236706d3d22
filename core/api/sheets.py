"""Tables for spreadsheets: CSV in which a text stays a text, whatever it begins with."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

MEDIA_TYPE: Final = "text/csv; charset=utf-8"
# What a sheet would take for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def sheet(rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """Yield the lines of a table, one for each row."""
    held = io.StringIO()
    writer = csv.writer(held)
    for row in rows:
        held.seek(0)
        held.truncate()
        writer.writerow(map(_cell, row))
        yield held.getvalue().encode()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return value.isoformat() if hasattr(value, "isoformat") else value
