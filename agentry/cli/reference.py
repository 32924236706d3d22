"""docs/reference/cli.md, written from the commands themselves so that it cannot fall behind.

`python -m agentry.cli.reference` prints it; a test compares the file with it.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import typer

from agentry.cli.exits import MEANINGS
from agentry.cli.invocation import _OPTIONS
from agentry.cli.main import app

_HEAD = """\
# Command line

Written from the commands by `python -m agentry.cli.reference`; do not edit by hand.

Data goes to standard output and talk to standard error, so `agentry runs ls -o json | jq` works.
Text that comes from servers and models is stripped of control sequences. `NO_COLOR` is honoured.

## Exit codes

| code | meaning |
|---|---|
"""
_SHARED_HEAD = """
## Options of every command

| option | meaning |
|---|---|
"""


def reference() -> str:
    group = typer.main.get_command(app)
    context: Any = group.make_context("agentry", [], resilient_parsing=True)
    text = _HEAD + "".join(f"| {code.value} | {told} |\n" for code, told in MEANINGS.items())
    text += _SHARED_HEAD
    first: Any = group.get_command(context, "run")  # type: ignore[attr-defined]
    for parameter in first.params:
        if parameter.name in _OPTIONS:
            text += _row(parameter)
    text += "\n## Commands\n"
    for path, one in _commands(group, context, "agentry"):
        text += _section(path, one)
    return text


def _commands(group: Any, context: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if hasattr(one, "list_commands"):
            yield from _commands(one, context, f"{path} {name}")
        else:
            yield f"{path} {name}", one


def _section(path: str, one: Any) -> str:
    own = [each for each in one.params if each.name not in _OPTIONS and each.name != "help"]
    usage = " ".join([path, *(_usage(each) for each in own)])
    text = f"\n### {path}\n\n```text\n{usage}\n```\n\n{inspect.cleandoc(one.help or '')}\n"
    if own:
        text += "\n| argument or option | meaning |\n|---|---|\n"
        text += "".join(_row(each) for each in own)
    return text


def _is_option(parameter: Any) -> bool:
    return any(each.startswith("-") for each in parameter.opts)


def _usage(parameter: Any) -> str:
    if not _is_option(parameter):
        return _metavar(parameter) if parameter.required else f"[{_metavar(parameter)}]"
    name = parameter.opts[0]
    usage = name if parameter.is_flag else f"{name} {_metavar(parameter)}"
    return usage if parameter.required else f"[{usage}]"


def _metavar(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    choices = parameter.type_descriptor.choices
    if choices:
        return "|".join(str(getattr(each, "value", each)) for each in choices)
    return str(parameter.name).upper().replace("_", "-")


def _row(parameter: Any) -> str:
    if _is_option(parameter):
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        shown = names if parameter.is_flag else f"{names} {_metavar(parameter)}"
    else:
        shown = _metavar(parameter)
    shown = shown.replace("|", "\\|")
    return f"| `{shown}` | {(parameter.help or '').replace('|', chr(92) + '|')} |\n"


if __name__ == "__main__":
    print(reference(), end="")
