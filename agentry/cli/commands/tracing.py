"""`agentry trace …`: the trace viewer as a file, empty or with a trace in it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.terminal import is_terminal
from agentry.viewer.standalone import standalone_page


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Look at traces without a server.")
    parent.add_typer(app, name="trace", rich_help_panel="This machine and the server")

    @command(app, "viewer")
    def viewer(inv: Invocation) -> None:
        """Print the trace viewer as one HTML file: agentry trace viewer > viewer.html

        It opens in a browser from disk, reads the files that are dropped on it, and sends nothing
        anywhere.
        """
        if is_terminal(sys.stdout):
            raise usage_error(
                "The viewer is a file for a browser, not for a terminal.",
                "Write it to one: agentry trace viewer > viewer.html",
            )
        sys.stdout.write(standalone_page())

    @command(app, "view")
    def view(
        inv: Invocation,
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="A trace: JSON lines or OTLP JSON.")
        ],
        to: Annotated[
            Path | None, typer.Option("--to", help="Where to write it; FILE.html if not given.")
        ] = None,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Replace a file that is there.")
        ] = False,
    ) -> None:
        """Write the trace viewer with a trace in it: one HTML file to keep or to hand on.

        Whoever has the file has the whole trace: inputs, arguments and results.
        """
        target = to or file.with_name(f"{file.name}.html")
        try:
            with file.open("rb") as trace:
                page = standalone_page(trace, name=file.name)
        except OSError as error:
            raise usage_error(f"{file} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise usage_error(f"{file}: {error}", "Split it by runs or by time.") from error
        try:
            with target.open("w" if overwrite else "x", encoding="utf-8") as made:
                made.write(page)
        except FileExistsError as error:
            raise usage_error(
                f"{target} is there already.", "Take another name, or give --overwrite."
            ) from error
        except OSError as error:
            raise usage_error(f"{target} cannot be written: {error.strerror}.") from error
        inv.show({"file": str(target)}, lambda made: print(made["file"]))
        inv.say("Open it in a browser. It holds the whole trace.")
