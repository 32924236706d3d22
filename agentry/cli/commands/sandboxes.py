"""`agentry sandbox …`: what the server's sandboxes can hold."""

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Row
from agentry.cli.terminal import plain


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Where shell and code tools run.")
    parent.add_typer(app, name="sandbox", rich_help_panel="This machine and the server")

    @command(app, "doctor")
    def doctor(inv: Invocation) -> None:
        """Say for each engine of the server what it can hold and how strong it is, best first."""
        from agentry.client.calls import account

        engines = inv.fetch(account.sandbox_doctor()).items
        inv.show(list(engines), _print_engines)
        if not any(engine["is_available"] for engine in engines):
            raise typer.Exit(ExitCode.RUN_FAILED)


def _print_engines(engines: list[Row]) -> None:
    for engine in engines:
        if engine["is_available"]:
            print(plain(f"{engine['name']}: available, isolates by {engine['strength']}"))
            print(plain(f"  holds: {', '.join(engine['holds'])}"))
            for limit, reason in engine["missing"].items():
                print(plain(f"  not {limit}: {reason}"))
        else:
            print(plain(f"{engine['name']}: not available"))
            print(plain(f"  {engine['problem']}"))
            print(plain(f"  {engine['remedy']}"))
