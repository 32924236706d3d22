"""`agentry policy …`: what a workspace's tool calls are judged by."""

from pathlib import Path
from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Row, print_fields
from agentry.cli.terminal import plain
from agentry.client.calls import governing


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="What tool calls are judged by.")
    parent.add_typer(app, name="policy", rich_help_panel="Definitions")

    @command(app, "show")
    def show(
        inv: Invocation,
        version: Annotated[int | None, typer.Option(help="This published version.")] = None,
    ) -> None:
        """Show the draft, or a published version."""
        if version is not None:
            inv.show(inv.fetch(governing.policy_version(version)), _print_version)
        else:
            inv.show(inv.fetch(governing.policy()), _print_policy)

    @command(app, "publish")
    def publish(
        inv: Invocation,
        file: Annotated[
            Path | None, typer.Argument(metavar="[FILE]", help="Write this as the draft first.")
        ] = None,
        note: Annotated[str | None, typer.Option(help="Why; kept with the version.")] = None,
    ) -> None:
        """Put the draft in force; with a file, what is in it."""
        if file is not None:
            try:
                source = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise usage_error(f"The file cannot be read: {error}") from error
            inv.fetch(governing.policy_write(source))
        answer = inv.fetch(governing.policy_publish(note=note))
        inv.show(answer, lambda value: print(plain(f"Version {value['number']} is in force.")))


def _print_version(version: Row) -> None:
    print_fields([(name, value) for name, value in version.items() if name != "source"])
    print(plain(version["source"]))


def _print_policy(policy: Row) -> None:
    _print_version(policy)
