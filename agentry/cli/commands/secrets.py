"""`agentry secrets …`: credentials that tools and providers ask for by name."""

import sys
from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, seconds_ago
from agentry.cli.terminal import is_terminal
from agentry.client.calls import governing

COLUMNS = (
    Column("NAME", "name"),
    Column("VERSION", "version"),
    Column("DESCRIPTION", "description", 40),
    Column("CHANGED", lambda row: seconds_ago(row.get("updated_at"))),
    Column("BY", "updated_by"),
    Column("USED", lambda row: seconds_ago(row.get("used_at"))),
)
MAX_VALUE_CHARS = 32_768

_Name = Annotated[str, typer.Argument(help="What tools and providers call it.")]
_Seen = Annotated[
    int | None,
    typer.Option("--version", help="Only if this is the version it has; 0: if there is none."),
]


def register(parent: typer.Typer) -> None:
    app = typer.Typer(
        no_args_is_help=True, help="Credentials that tools and providers ask for by name."
    )
    parent.add_typer(app, name="secrets", rich_help_panel="Definitions")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List the names; values are never shown."""
        inv.listing(governing.secrets(limit=100), COLUMNS, everything=everything)

    @command(app, "set")
    def set_(
        inv: Invocation,
        name: _Name,
        description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
        version: _Seen = None,
    ) -> None:
        """Create a secret or give it another value, read from stdin or asked for.

        A value never stands in the command itself, where other users and the shell's history would
        see it: `agentry secrets set github < token.txt`. One line break at its end is not part of
        it.
        """
        call = governing.secret_set(name, _value(name), description=description, version=version)
        inv.say(f"The secret {name} is set, version {inv.fetch(call)['version']}.")

    @command(app, "rotate")
    def rotate(inv: Invocation, name: _Name, version: _Seen = None) -> None:
        """Replace the value of a secret that is there by another one."""
        answer = inv.fetch(governing.secret_rotate(name, _value(name), version=version))
        inv.say(f"The secret {name} is rotated, version {answer['version']}.")

    @command(app, "rm")
    def rm(inv: Invocation, name: _Name) -> None:
        """Delete a secret; what names it fails from now on."""
        inv.client.secrets.delete(name)
        inv.say(f"The secret {name} is deleted.")


def _value(name: str) -> str:
    if is_terminal(sys.stdin):
        asked: str = typer.prompt(
            f"Value of {name} (not shown)", hide_input=True, err=True, confirmation_prompt=True
        )
        return asked
    value = sys.stdin.read(MAX_VALUE_CHARS + 2).removesuffix("\n").removesuffix("\r")
    if not value:
        raise usage_error("There is no value on stdin.", f"agentry secrets set {name} < file")
    return value
