"""`agentry calls …`: the ledger of tool calls, and settling those in doubt."""

from enum import StrEnum
from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Column, Row, print_fields, seconds_ago
from agentry.cli.terminal import plain
from agentry.client.calls import catalogue


class Outcome(StrEnum):
    COMMITTED = "committed"
    FAILED = "failed"
    RETRY = "retry"


CallId = Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")]
COLUMNS = (
    Column("ID", "id"),
    Column("TOOL", "tool", 30),
    Column("STATE", "state"),
    Column("EFFECT", "effect"),
    Column("RUN", "run"),
    Column("AGE", lambda row: seconds_ago(row.get("planned_at"))),
    Column("ARGUMENTS", "arguments", 50),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Tool calls, and settling those in doubt.")
    parent.add_typer(app, name="calls", rich_help_panel="Work")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        state: Annotated[
            str, typer.Option(help="in_doubt, waiting, committed, failed, …")
        ] = "in_doubt",
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List tool calls; by default those whose outcome somebody must tell."""
        inv.listing(
            catalogue.tool_calls(state=state, limit=50),
            COLUMNS,
            everything=everything,
            empty=f"No tool call is {state}; --state lists those in another state.",
        )

    @command(app, "show")
    def show(inv: Invocation, call: CallId) -> None:
        """Show one call with its arguments and result."""
        inv.show(inv.fetch(catalogue.tool_call(call)), _print_call)

    @command(app, "resolve")
    def resolve(
        inv: Invocation,
        call: CallId,
        outcome: Annotated[
            Outcome,
            typer.Option(help="It happened (committed), it did not (failed), or do it again."),
        ],
        note: Annotated[str, typer.Option(help="How you know; kept in the record.")],
        result: Annotated[
            str | None, typer.Option(help="What the tool would have answered.")
        ] = None,
    ) -> None:
        """Say what became of a call in doubt; its run goes on with that."""
        answer = catalogue.tool_call_resolve(call, outcome=outcome.value, note=note, result=result)
        inv.show(
            inv.fetch(answer), lambda value: print(plain(f"{value['id']} is {value['state']}."))
        )


def _print_call(call: Row) -> None:
    print_fields([(name, value) for name, value in call.items() if value not in (None, "", {})])
