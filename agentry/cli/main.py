"""The `agentry` program: all commands, put together."""

import sys
from typing import Annotated

import typer

from agentry.cli.commands import (
    account,
    agents,
    applying,
    approvals,
    audit,
    budgets,
    calls,
    catalogue,
    channels,
    checking,
    cost,
    debugging,
    grants,
    importing,
    policies,
    running,
    runs,
    sandboxes,
    secrets,
    shell,
    tokens,
    tracing,
    workers,
)
from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Root, hush

app = typer.Typer(
    name="agentry",
    cls=Root,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from agentry.client.transport import client_version

        print(f"agentry {client_version()}")
        raise typer.Exit(ExitCode.OK)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which one.")
    ] = False,
) -> None:
    """Start, watch and steer durable agent runs on an Agentry server.

    Sign in with `agentry login`, look around with `agentry doctor`, then `agentry run "your task"`.
    """


for part in (
    running,
    runs,
    debugging,
    agents,
    applying,
    importing,
    catalogue,
    calls,
    approvals,
    grants,
    policies,
    budgets,
    channels,
    cost,
    secrets,
    tokens,
    audit,
    tracing,
    sandboxes,
    workers,
    account,
    checking,
    shell,
):
    part.register(app)


def main() -> None:
    try:
        app(prog_name="agentry")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    finally:
        # Here and not at the interpreter's end, which would complain of a reader that went away.
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            hush()
