"""`agentry doctor`: what works here and with the server, and how to mend what does not."""

import sys
from typing import Annotated

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Row
from agentry.cli.terminal import console, is_terminal, plain


def register(app: typer.Typer) -> None:
    @command(app, "doctor", panel="This machine and the server")
    def doctor(
        inv: Invocation,
        offline: Annotated[
            bool, typer.Option("--offline", help="Only this machine, not the server.")
        ] = False,
    ) -> None:
        """Check this machine, the login and the server; say what is missing and how to get it."""
        from agentry.cli.diagnosis import diagnose

        findings = diagnose(inv.url, inv.workspace, inv.context, with_server=not offline)
        rows = [
            {"check": each.check, "state": each.state, "detail": each.detail, "remedy": each.remedy}
            for each in findings
        ]
        inv.show(rows, _print_findings)
        if any(each.state == "failed" for each in findings):
            raise typer.Exit(ExitCode.RUN_FAILED)


_SIGNS = {"ok": ("✓", "green"), "failed": ("✗", "red"), "note": ("·", "yellow")}


def _print_findings(rows: list[Row]) -> None:
    screen = console() if is_terminal(sys.stdout) else None
    width = max(len(str(row["check"])) for row in rows)
    for row in rows:
        sign, style = _SIGNS[row["state"]]
        line = plain(f"{row['check']:<{width}}  {row['detail']}")
        remedy = plain(f"{'':<{width}}    → {row['remedy']}") if row["remedy"] else ""
        if screen is None:
            print(f"{sign} {line}")
            if remedy:
                print(remedy)
            continue
        from rich.text import Text

        screen.print(Text.assemble((f"{sign} ", style), line))
        if remedy:
            screen.print(Text(remedy, style="yellow"))
