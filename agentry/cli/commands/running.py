"""`agentry run`: start a run and watch it."""

import sys
from typing import Annotated

import typer

from agentry.cli.commands.arguments import limits_of, pairs_of
from agentry.cli.commands.runs import LimitOption
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.terminal import is_terminal, plain
from agentry.client.calls import runs


def register(app: typer.Typer) -> None:
    @command(app, "run", panel="Work")
    def run(
        inv: Invocation,
        text: Annotated[
            str | None, typer.Argument(metavar="TEXT", help="The task; `-` reads it from stdin.")
        ] = None,
        agent: Annotated[str, typer.Option("--agent", "-a", help="Which agent.")] = "default",
        session: Annotated[
            str | None, typer.Option(help="Go on in this conversation (its id).")
        ] = None,
        variable: Annotated[
            list[str] | None,
            typer.Option("--var", metavar="NAME=VALUE", help="For {{NAME}} in the prompt."),
        ] = None,
        limit: LimitOption = None,
        step: Annotated[
            str | None,
            typer.Option(help="Hold it before each: model, tool or both; see `agentry step`."),
        ] = None,
        detach: Annotated[
            bool, typer.Option("--detach", "-d", help="Print the run's id and return.")
        ] = False,
        key: Annotated[
            str, typer.Option("--idempotency-key", help="The same key never starts a second run.")
        ] = "",
    ) -> None:
        """Start a run and watch it live.

        Ctrl-C stops watching and says how to come back; the run goes on. A second Ctrl-C asks
        whether to cancel it. Without a terminal the run is told line by line; with --quiet only
        its answer is printed, with `-o json` the finished run.
        """
        call = runs.start(
            _input(text),
            agent=agent,
            session=session,
            variables=pairs_of(variable, "--var"),
            limits=limits_of(limit),
            debug={"step": step} if step else None,
            idempotency_key=key,
        )
        started = inv.fetch(call)
        if detach:
            inv.show(started, lambda value: print(plain(value["id"])))
            inv.say(f"Watch it: agentry runs watch {started['id']}")
            return
        from agentry.cli.live.follow import watch_run

        watch_run(inv, str(started["id"]))


def _input(text: str | None) -> str:
    if text == "-" or (text is None and not is_terminal(sys.stdin)):
        text = sys.stdin.read()
    if not text or not text.strip():
        raise usage_error(
            "There is no task.", 'Write it behind the command: agentry run "Say hello".'
        )
    return text
