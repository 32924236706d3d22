"""`agentry runs files`: what a run's workspace held at a checkpoint, and what changed since."""

from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Column, Row, print_table
from agentry.cli.terminal import one_line
from agentry.client.calls import runs
from agentry.client.errors import NotFound

_WIDTH = 400


def _path(row: Row) -> str:
    shown = one_line(row["path"], width=_WIDTH)
    return f"{shown} -> {one_line(row['target'], width=_WIDTH)}" if row.get("target") else shown


COLUMNS = (
    Column("MODE", "mode"),
    Column("KIND", "kind"),
    Column("BYTES", "size_bytes"),
    Column("SHA-256", lambda row: (row.get("digest") or "")[:12]),
    Column("PATH", _path),
)


def register(app: typer.Typer) -> None:
    @command(app, "files")
    def files(
        inv: Invocation,
        run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
        checkpoint: Annotated[
            int | None, typer.Option(min=1, help="At this checkpoint; the last one if not given.")
        ] = None,
        since: Annotated[
            int | None, typer.Option(min=1, help="Only what differs from this earlier one.")
        ] = None,
    ) -> None:
        """List the files of a run at a checkpoint, or what changed between two."""
        number = checkpoint or _last(inv, run)
        if since is not None:
            inv.show(inv.fetch(runs.file_difference(run, number, since=since)), _print_difference)
            return
        page = inv.fetch(runs.files(run, number, limit=200))
        rows: list[Row] = list(page["items"])
        while page.get("next_cursor"):
            page = inv.fetch(runs.files(run, number, limit=200, cursor=page["next_cursor"]))
            rows += page["items"]
        inv.show(rows, lambda found: print_table(found, COLUMNS))


def _last(inv: Invocation, run: str) -> int:
    page = inv.fetch(runs.checkpoints(run, limit=200))
    while page.get("next_cursor"):
        page = inv.fetch(runs.checkpoints(run, limit=200, cursor=page["next_cursor"]))
    if not page["items"]:
        raise NotFound("The run has no checkpoint yet.", remedy="Wait until it has begun.")
    return int(page["items"][-1]["sequence"])


def _print_difference(found: Row) -> None:
    for mark, name in (("+", "added"), ("~", "changed"), ("-", "removed")):
        for path in found[name]:
            print(f"{mark} {one_line(path, width=_WIDTH)}")
    if found["is_truncated"]:
        print("There are more; these are the first 1,000 of each.")
