"""One invocation of a command: the options every command shares, and what they give it.

`command(app, name)` registers a function whose first argument is the `Invocation`; the shared
options are added to its own, and the client's errors become sentences and exit codes.
"""

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, cast

import typer
from typer._click.exceptions import NoSuchOption
from typer.core import TyperGroup

from agentry.cli import PROGRAM
from agentry.cli.exits import ExitCode, exit_code_of
from agentry.cli.output import Column, OutputFormat, Row, print_document, print_table
from agentry.cli.terminal import plain

if TYPE_CHECKING:
    from agentry.client.flow import Call
    from agentry.client.synchronous import Client

P = ParamSpec("P")

_SHARED = "Shared options"


@dataclass
class Invocation:
    output: OutputFormat
    workspace: str
    url: str
    context: str
    quiet: bool

    @cached_property
    def client(self) -> "Client":
        from agentry.client.synchronous import Client

        return Client(url=self.url, workspace=self.workspace, context=self.context, program=PROGRAM)

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    @property
    def is_table(self) -> bool:
        return self.output is OutputFormat.TABLE

    def say(self, text: str) -> None:
        """Talk about what happens: to stderr, silenced by --quiet."""
        if not self.quiet:
            print(plain(text), file=sys.stderr)

    def fetch(self, call: "Call[Any]") -> Any:
        """The whole answer as plain JSON values."""
        return self.client.send(call.raw())

    def show(self, value: Any, table: Callable[[Any], None]) -> None:
        """Print data in the chosen form; `table` prints it for people."""
        if self.is_table:
            table(value)
        else:
            print_document(value, self.output)

    def listing(
        self,
        call: "Call[Any]",
        columns: Sequence[Column],
        *,
        everything: bool = False,
        empty: str = "Nothing found.",
    ) -> None:
        """Print one page of a list, or all of it; say `empty` where there is nothing."""
        page = self.fetch(call)
        rows: list[Row] = list(page["items"])
        while everything and page.get("next_cursor"):
            page = self.fetch(call.at(page["next_cursor"]))
            rows += page["items"]
        self.show(rows, lambda found: print_table(found, columns))
        if self.is_table and not rows:
            self.say(empty)
        if page.get("next_cursor"):
            self.say("There is more: use --all, or narrow it.")


def complain(error: Exception) -> ExitCode:
    """Print a failure as sentences and say which exit code it deserves."""
    fields = getattr(error, "fields", {})
    told = str(getattr(error, "message", error))
    winner = getattr(error, "winner", "")
    print(plain(f"Error: {told}"), file=sys.stderr)
    for place, sentences in fields.items():
        for sentence in sentences:
            if sentence in told:
                continue
            print(plain(f"  {place}: {sentence}" if place else f"  {sentence}"), file=sys.stderr)
    if winner and winner not in told:
        print(plain(f"First was: {winner}"), file=sys.stderr)
    remedy = getattr(error, "remedy", "")
    if remedy:
        print(plain(remedy), file=sys.stderr)
    return exit_code_of(error)


def usage_error(sentence: str, remedy: str = "", *, code: ExitCode = ExitCode.USAGE) -> typer.Exit:
    """Say what is wrong with how a command was used; raise what this returns."""
    print(plain(f"Error: {sentence}"), file=sys.stderr)
    if remedy:
        print(plain(remedy), file=sys.stderr)
    return typer.Exit(code)


def _form(word: str) -> OutputFormat:
    if word in set(OutputFormat):
        return OutputFormat(word)
    known = ", ".join(OutputFormat)
    raise typer.BadParameter(f"{word!r} is not known here; one of {known}.")


_Output = Annotated[
    OutputFormat,
    typer.Option(
        "--output",
        "-o",
        envvar="AGENTRY_OUTPUT",
        parser=_form,
        metavar=f"[{'|'.join(OutputFormat)}]",
        help="How to print data.",
        rich_help_panel=_SHARED,
    ),
]
_Workspace = Annotated[
    str,
    typer.Option("--workspace", "-w", help="Which workspace.", rich_help_panel=_SHARED),
]
_Url = Annotated[str, typer.Option("--url", help="Which server.", rich_help_panel=_SHARED)]
_Context = Annotated[
    str,
    typer.Option("--context", help="Which stored login.", rich_help_panel=_SHARED),
]
_Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print data only, no talk.", rich_help_panel=_SHARED),
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "output": (_Output, OutputFormat.TABLE),
    "workspace": (_Workspace, ""),
    "url": (_Url, ""),
    "context": (_Context, ""),
    "quiet": (_Quiet, False),
}


class Root(TyperGroup):
    """The program itself: an option all commands share is wanted behind the command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except NoSuchOption as error:
            if error.option_name in _SHARED_NAMES:
                error.message += ". Put it behind the command, as in: agentry runs ls -w acme"
            raise


_SHARED_NAMES = frozenset({f"--{name}" for name in _OPTIONS} | {"-o", "-w", "-q"})


def command(
    app: typer.Typer, name: str, *, panel: str | None = None
) -> Callable[
    [Callable[Concatenate[Invocation, P], None]], Callable[Concatenate[Invocation, P], None]
]:
    """Register a command; its docstring is its help."""

    def register(
        function: Callable[Concatenate[Invocation, P], None],
    ) -> Callable[Concatenate[Invocation, P], None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        shared = [
            inspect.Parameter(
                option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for option, (annotation, default) in _OPTIONS.items()
        ]

        def run(**values: Any) -> None:
            invocation = Invocation(**{option: values.pop(option) for option in _OPTIONS})
            act = cast("Callable[..., None]", function)
            try:
                guarded(lambda: act(invocation, **values))
            finally:
                invocation.close()

        run.__name__ = function.__name__
        run.__doc__ = function.__doc__
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + shared
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name, rich_help_panel=panel)(run)
        return function

    return register


def hush() -> None:
    """Print nothing more: what is still to be written goes nowhere, also at the very end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def guarded(act: Callable[[], None]) -> None:
    """Do it; an expected failure ends the program with its sentence and exit code."""
    from agentry.client.errors import AgentryError

    try:
        act()
    except AgentryError as error:
        raise typer.Exit(complain(error)) from error
    except BrokenPipeError as error:
        # The reader went away (`| head`): not our failure, and nothing more can be printed.
        hush()
        raise typer.Exit(ExitCode.OK) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error
