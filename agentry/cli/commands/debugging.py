"""`agentry debug …`, `step`, `continue` and `runs edit`: hold a run, look at it, change it."""

import json
from typing import Annotated, Any

import typer

from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, shown
from agentry.cli.terminal import plain
from agentry.client.calls import debugging

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
_HOLD = "Debug"

EDITS = (
    Column("CHECKPOINT", "sequence"),
    Column("KIND", "kind"),
    Column("MESSAGE", "position"),
    Column("BY", "edited_by_name"),
    Column("BEFORE", lambda row: shown(row.get("before")), 40),
    Column("AFTER", lambda row: shown(row.get("after")), 40),
)


def register(parent: typer.Typer) -> None:
    _register_debug(parent)
    _register_going(parent)
    _register_edit(parent)


def _register_debug(parent: typer.Typer) -> None:
    @command(parent, "debug", panel=_HOLD)
    def debug(
        inv: Invocation,
        run: RunId,
        step: Annotated[
            str | None, typer.Option(help="Hold it before each: model, tool, both, or off.")
        ] = None,
        breakpoints: Annotated[
            list[str] | None,
            typer.Option(
                "--break",
                metavar="KIND:VALUE",
                help="tool:bash*, agent:writer, cost:0.50 or text:password; repeatable.",
            ),
        ] = None,
        clear: Annotated[bool, typer.Option("--clear", help="Take all breakpoints out.")] = False,
        tree: Annotated[
            bool | None, typer.Option("--tree/--alone", help="With every run below it, or alone.")
        ] = None,
    ) -> None:
        """Set step mode and breakpoints of a run; without options, say where it stands."""
        now = inv.fetch(debugging.debugger(run))
        if step is not None or breakpoints or clear or tree is not None:
            points = [] if clear else list(now["breakpoints"])
            points += [_breakpoint(text) for text in breakpoints or ()]
            scope = now["scope"] if tree is None else "tree" if tree else "run"
            call = debugging.debug(
                run, now["version"], step=step or now["step"], breakpoints=points, scope=scope
            )
            now = inv.fetch(call)
        inv.show(now, print_debugger)


def _breakpoint(text: str) -> dict[str, str]:
    kind, colon, value = text.partition(":")
    if not colon or not value:
        raise usage_error(
            f"--break {text!r} is no breakpoint.",
            "Write KIND:VALUE, such as tool:bash, agent:writer, cost:0.50 or text:password.",
        )
    return {"kind": kind, "value": value}


def _register_going(parent: typer.Typer) -> None:
    @command(parent, "step", panel=_HOLD)
    def step(inv: Invocation, run: RunId) -> None:
        """Let one model call or one tool call of a paused run go."""
        seen = inv.fetch(debugging.debugger(run))
        inv.show(inv.fetch(debugging.step(run, seen["version"])), print_debugger)

    @command(parent, "continue", panel=_HOLD)
    def go_on(inv: Invocation, run: RunId) -> None:
        """End the step mode; the run goes on to its next breakpoint."""
        seen = inv.fetch(debugging.debugger(run))
        inv.show(inv.fetch(debugging.go_on(run, seen["version"])), print_debugger)

    @command(parent, "edits", panel=_HOLD)
    def edits(
        inv: Invocation,
        run: RunId,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List what people changed about a run while it stood still."""
        inv.listing(debugging.edits(run, limit=50), EDITS, everything=everything)


def _register_edit(parent: typer.Typer) -> None:
    @command(parent, "edit", panel=_HOLD)
    def edit(
        inv: Invocation,
        run: RunId,
        call: Annotated[
            str | None, typer.Option(help="The call whose arguments change; its index or id.")
        ] = None,
        arguments: Annotated[
            str | None, typer.Option(help="Its new arguments, a JSON object.")
        ] = None,
        message: Annotated[
            int | None, typer.Option(help="The message whose text changes; its position.")
        ] = None,
        text: Annotated[str | None, typer.Option(help="The new text.")] = None,
        say: Annotated[str | None, typer.Option(help="A message more, to the model.")] = None,
    ) -> None:
        """Change what a paused run is about to do, and leave it paused."""
        seen = inv.fetch(debugging.debugger(run))
        version = seen["version"]
        match (call, arguments, message, text, say):
            case (str(), str(), None, None, None):
                wanted = debugging.edit_arguments(
                    run, version, _call_id(seen, call), _object(arguments)
                )
            case (None, None, int(), str(), None):
                wanted = debugging.edit_message(run, version, message, text)
            case (None, None, None, None, str()):
                wanted = debugging.add_message(run, version, say)
            case _:
                raise usage_error(
                    "An edit is one of three things.",
                    "Give --call with --arguments, or --message with --text, or --say.",
                )
        inv.show(inv.fetch(wanted), _print_edit)


def _call_id(seen: Row, call: str) -> str:
    for known in seen["calls"]:
        if call in (str(known["index"]), known["id"]) and known["id"]:
            return str(known["id"])
    names = ", ".join(f"{known['index']} ({known['tool']})" for known in seen["calls"])
    raise usage_error(f"--call {call} is not open here.", f"Open are: {names or 'none'}.")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise usage_error(f"--arguments is not JSON: {error}.", "Give a JSON object.") from None
    if not isinstance(found, dict):
        raise usage_error("--arguments is not a JSON object.", "Write {…} with names and values.")
    return found


def _print_edit(row: Row) -> None:
    before, after = shown(row.get("before")), shown(row.get("after"))
    print(plain(f"Changed at checkpoint {row['sequence']} ({row['kind']})."))
    if row.get("before") is not None:
        print(plain(f"- {before}"))
    print(plain(f"+ {after}"))


def print_debugger(now: Row) -> None:
    points = ", ".join(f"{each['kind']}:{each['value']}" for each in now["breakpoints"])
    whose = "the whole tree" if now["scope"] == "tree" else "this run"
    held = now.get("sentence") or now["hold"]
    print(plain(f"{now['run']} is {now['state']}." + (f" {held}" if now["hold"] else "")))
    print(plain(f"Step mode {now['step']}; breakpoints: {points or 'none'}; for {whose}."))
    for call in now["calls"]:
        mark = "" if call["is_editable"] else " (cannot be changed)"
        told = f"  call {call['index']} {call['tool']} {shown(call.get('arguments'))}"
        print(plain(f"{told} [{call['state']}]{mark}"))
    for message in now["messages"]:
        print(plain(f"  message {message['position']} {message['role']}: {message.get('text')}"))
    for below in now["held_below"]:
        print(plain(f"  held below: {below}"))
