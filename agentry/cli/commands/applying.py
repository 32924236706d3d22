"""`agentry apply`: make a workspace as documents say."""

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Row, compact
from agentry.cli.terminal import console, is_terminal, one_line, plain
from agentry.client.calls import account
from agentry.client.errors import AgentryError, InvalidRequest

if TYPE_CHECKING:
    from agentry.cli.documents.places import Placed

_STYLES = {"create": "green", "update": "yellow", "unchanged": "dim"}
_SIGNS = {"create": "+", "update": "~", "unchanged": "="}


def register(app: typer.Typer) -> None:
    @command(app, "apply", panel="Definitions")
    def apply(
        inv: Invocation,
        file: Annotated[
            list[Path],
            typer.Option("--file", "-f", help="YAML file or folder; `-` is stdin; repeatable."),
        ],
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show what would change, change nothing.")
        ] = False,
    ) -> None:
        """Make a workspace hold what YAML documents say.

        Secrets, providers, models, routes, tools, budgets, channels, the policy and agents, in any
        order. Applying the same twice changes nothing. Everything is checked before anything is
        changed, and every mistake is told with its file, line and column. Secrets are named, not
        written: `api_key: {env: OPENAI_API_KEY}`.
        """
        apply_files(inv, file, dry_run=dry_run)


def apply_files(
    inv: Invocation, files: Sequence[Path], *, dry_run: bool, kinds: Collection[str] = ()
) -> None:
    from agentry.cli.documents.places import Finding, Unreadable
    from agentry.cli.documents.reading import KINDS, check, read_paths

    findings: list[Finding] = []
    try:
        sources = read_paths(files)
    except Unreadable as error:
        findings, sources = error.findings, list(error.sound)
    try:
        documents = check(sources, kinds=kinds or KINDS)
    except Unreadable as error:
        findings, documents = [*findings, *error.findings], list(error.sound)
    if findings:
        lines = [str(finding) for finding in findings]
        lines += _objections(inv, documents, refused=_names(sources, documents))
        for line in lines:
            print(plain(line), file=sys.stderr)
        _count(len(lines))
        raise typer.Exit(ExitCode.USAGE)
    if not documents:
        raise usage_error(
            "There are no documents in what was given.",
            "A document begins with `apiVersion: agentry/v1`; folders are searched for *.yaml.",
        )
    send_documents(inv, documents, dry_run=dry_run)


def _count(number: int) -> None:
    told = "1 mistake" if number == 1 else f"{number} mistakes"
    print(f"{told}; nothing was changed.", file=sys.stderr)


def _names(sources: Sequence["Placed"], sound: Sequence[Any]) -> frozenset[str]:
    """The names of the documents that are not sound."""
    kept = {id(document.source) for document in sound}
    bad = (each.get("metadata") for each in sources if id(each) not in kept)
    return frozenset(name for each in bad if each is not None and (name := each.text("name")))


def _objections(
    inv: Invocation, documents: Sequence[Any], *, refused: Collection[str]
) -> list[str]:
    """What the server says of the sound documents, tried without changing anything.

    What only fails because it names one of the `refused` documents is left out.
    """
    if not documents:
        return []
    contents = [document.content(os.environ) for document in documents]
    try:
        inv.fetch(account.apply(contents, dry_run=True))
    except InvalidRequest as error:
        told = _placed(documents, error)
        return [line for line in told if not any(repr(name) in line for name in refused)]
    except AgentryError as error:
        inv.say(f"The server did not look at the other documents: {error.message}")
    return []


def _placed(documents: Sequence[Any], error: InvalidRequest) -> list[str]:
    """The server's objections, each with its place in the files."""
    from agentry.cli.documents.reading import place_of

    lines = []
    for path, sentences in error.fields.items():
        place, below = place_of(list(documents), path)
        lead = f"{place}: {below}: " if place else f"{path}: "
        lines += [lead + sentence for sentence in sentences]
    return lines


def send_documents(inv: Invocation, documents: Sequence[Any], *, dry_run: bool) -> None:
    """Send checked documents; the server's objections come back as places in the files."""
    contents = [document.content(os.environ) for document in documents]
    try:
        answer = inv.fetch(account.apply(contents, dry_run=dry_run))
    except InvalidRequest as error:
        if not error.fields:
            raise
        lines = _placed(documents, error)
        for line in lines:
            print(plain(line), file=sys.stderr)
        _count(len(lines))
        raise typer.Exit(ExitCode.USAGE) from error
    inv.show(answer, lambda value: _print_changes(value["changes"]))
    changed = sum(change["action"] != "unchanged" for change in answer["changes"])
    verb = "would change" if dry_run else "changed"
    inv.say(f"{changed} of {len(answer['changes'])} {verb}.")


def _print_changes(changes: Sequence[Row]) -> None:
    """One line a document and one for each difference, coloured on a terminal."""
    lines: list[tuple[str, str]] = []
    for change in changes:
        action = str(change["action"])
        head = f"{_SIGNS.get(action, '?')} {change['kind']}/{change['name']} {action}"
        lines.append((plain(head), _STYLES.get(action, "")))
        for difference in change.get("diff") or ():
            lines += _difference(difference)
    if is_terminal(sys.stdout):
        from rich.text import Text

        screen = console()
        for text, style in lines:
            screen.print(Text(text, style=style))
    else:
        for text, _ in lines:
            print(text)


def _difference(difference: Row) -> list[tuple[str, str]]:
    lines = [(f"    {plain(difference.get('path', ''))}", "")]
    before, after = difference.get("before"), difference.get("after")
    if _has_lines(before) and _has_lines(after):
        return lines + _changed_lines(before, after)
    for sign, side, style in (("-", "before", "red"), ("+", "after", "green")):
        value = difference.get(side)
        if value is None:
            continue
        texts = value.split("\n") if isinstance(value, str) else [compact(value)]
        lines += [(f"      {sign} {_indented(text)}", style) for text in texts]
    return lines


def _has_lines(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and "\n" in value


def _changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """What differs between two longer texts, with two lines around each."""
    from difflib import unified_diff

    styles = {"-": "red", "+": "green"}
    found = unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=2)
    return [
        ("      …" if line[0] == "@" else f"      {line[0]} {_indented(line[1:])}",
         styles.get(line[0], ""))
        for line in list(found)[3:]
    ]  # fmt: skip


def _indented(text: str) -> str:
    """One line as it stands: in YAML and in prompts the beginning of a line has a meaning."""
    depth = len(text) - len(text.lstrip(" "))
    return " " * min(depth, 80) + one_line(text, width=160)
