"""A list of runs as a file: CSV for sheets, JSON for programs; read while it is sent.

Inputs, outputs and reasons are there only for runs whose payload the reader may see; elsewhere
they are empty and `payload_hidden` says why.
"""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from django.http import HttpRequest, StreamingHttpResponse

from agents.admin.run_list import asked_of
from agents.models import Run
from agents.selectors.run_filters import RunFilters
from agents.selectors.run_finding import in_order, mark_of, readable_workspaces, runs_found
from core import clock
from core.api.lines import streamed
from core.api.sheets import MEDIA_TYPE, sheet
from core.errors import InvalidInputError
from governance.contracts import Actor

FORMATS: Final = {"csv": MEDIA_TYPE, "json": "application/json"}
_CHUNK_RUNS: Final = 500
_NAMED: Final = ("workspace", "requested_by")
COLUMNS: Final = (
    "id", "workspace", "agent", "state", "wait_kind", "error_code", "requested_by", "surface",
    "iteration", "input_tokens", "output_tokens", "cost_usd", "cost_is_partial", "created_at",
    "started_at", "finished_at", "payload_hidden", "reason", "input", "output",
)  # fmt: skip


def run_export(request: HttpRequest, actor: Actor) -> StreamingHttpResponse:
    """Answer with all runs that the address asks for.

    Raises:
        InvalidInputError: No such format, or a filter means nothing: a file says no notes.
    """
    filters, form = asked_of(request), request.GET.get("format", "csv")
    if form not in FORMATS:
        raise InvalidInputError(
            f"There is no format {form[:20]!r}.", remedy=f"Known: {', '.join(FORMATS)}."
        )
    if filters.problems:
        raise InvalidInputError(filters.problems[0], remedy="Mend the filter in the list.")
    rows = _rows(actor, filters)
    return streamed(
        request,
        _csv(rows) if form == "csv" else _json(rows),
        content_type=FORMATS[form],
        filename=f"runs-{clock.now():%Y-%m-%d}.{form}",
    )


def _rows(actor: Actor, filters: RunFilters) -> Iterator[dict[str, Any]]:
    """Read on by the place in the order, so that no cursor stays open while a reader is slow."""
    runs, after = runs_found(actor, filters).runs.select_related(*_NAMED), ""
    while chunk := list(in_order(runs, filters.sort, after=after)[:_CHUNK_RUNS]):
        readable = readable_workspaces(actor, chunk)
        for run in chunk:
            yield _row(run, is_readable=run.workspace_id in readable)
        after = mark_of(chunk[-1], filters.sort)


def _row(run: Run, *, is_readable: bool) -> dict[str, Any]:
    shown = {name: getattr(run, name, None) for name in COLUMNS}
    texts = {
        name: getattr(run, name) if is_readable else None for name in ("reason", "input", "output")
    }
    return (
        shown
        | texts
        | {
            "workspace": run.workspace.name,
            "agent": run.agent_name,
            "requested_by": None if run.requested_by is None else run.requested_by.username,
            "payload_hidden": not is_readable,
        }
    )


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    return sheet(chain([COLUMNS], ([row[name] for name in COLUMNS] for row in rows)))


def _json(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    yield b"["
    for number, row in enumerate(rows):
        yield (",\n" if number else "\n").encode() + json.dumps(
            row, ensure_ascii=False, default=_plain
        ).encode()
    yield b"\n]\n"


def _plain(value: Any) -> str:
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
