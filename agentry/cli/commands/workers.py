"""`agentry workers …`: the processes that drive runs, and taking one out of work."""

from typing import Annotated

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, seconds_ago
from agentry.cli.terminal import plain
from agentry.client.calls import account

WORKERS = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("RUNS", lambda row: f"{row.get('running')}/{row.get('capacity')}"),
    Column("VERSION", "version"),
    Column("SINCE", lambda row: seconds_ago(row.get("started_at"))),
    Column("SEEN", lambda row: seconds_ago(row.get("seen_at"))),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Who does the work.")
    parent.add_typer(app, name="workers", rich_help_panel="This machine and the server")

    @command(app, "ls")
    def ls(inv: Invocation) -> None:
        """List worker processes."""
        inv.listing(account.workers(), WORKERS)

    @command(app, "drain")
    def drain(
        inv: Invocation,
        worker: Annotated[str, typer.Argument(help="Its id, the end of its id, or its name.")],
        undoes: Annotated[
            bool, typer.Option("--undo", help="Take a drain back: it takes runs again.")
        ] = False,
        agrees: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Have a worker give its runs back at their next steps and take no more.

        The process stays; stop it once it is drained. Whoever runs the site may do this.
        """
        workers: list[Row] = inv.fetch(account.workers())["items"]
        chosen = _chosen(workers, worker)
        if undoes:
            inv.show(inv.fetch(account.worker_undrain(chosen["id"])), _print_line)
            return
        if not agrees and not typer.confirm(_question(chosen, workers), default=False, err=True):
            raise typer.Exit(ExitCode.USAGE)
        inv.show(inv.fetch(account.worker_drain(chosen["id"])), _print_line)


def _chosen(workers: list[Row], word: str) -> Row:
    """Return the worker that is meant; an alive one where a dead one has had its name."""
    found = [row for row in workers if row["id"].endswith(word) or row["name"] == word]
    if len(found) > 1:
        found = [row for row in found if row["is_alive"]] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise usage_error(f"{len(found)} workers are called {word!r}.", "Name one by its id.")
    raise usage_error(
        f"There is no worker {word!r}.", "See: agentry workers ls", code=ExitCode.NOT_FOUND
    )


def _question(chosen: Row, workers: list[Row]) -> str:
    others = [row for row in workers if row["state"] == "serving" and row["id"] != chosen["id"]]
    nobody = "" if others else " No other worker takes runs: what is queued will wait."
    return f"Drain {plain(chosen['name'])} with its {chosen['running']} runs?{nobody}"


_SENTENCES = {
    "asked": "is asked to drain; it takes note within seconds",
    "draining": "gives its runs back",
    "drained": "holds no run and takes none",
    "serving": "takes runs",
    "silent": "has not been heard of lately",
}


def _print_line(row: Row) -> None:
    told = _SENTENCES.get(row["state"], row["state"])
    if row["drain_asked_at"] is None and row["state"] in {"draining", "drained"}:
        told = "takes runs again within seconds"
    print(plain(f"{row['name']} {told}: {row['running']} of {row['capacity']} runs."))
