"""`agentry apply`: make a workspace as documents say."""

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Row, compact
from agentry.cli.terminal import console, is_terminal, one_line, plain
from agentry.client.calls import account
from agentry.client.errors import InvalidRequest

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
        """Make providers, models, routes, tools and agents as YAML documents say.

        Applying the same twice changes nothing. Everything is checked before anything is changed,
        and every mistake is told with its file, line and column. Secrets are named, not written:
        `api_key: {env: OPENAI_API_KEY}`.
        """
        apply_files(inv, file, dry_run=dry_run)


def apply_files(
    inv: Invocation, files: Sequence[Path], *, dry_run: bool, kinds: Collection[str] = ()
) -> None:
    from agentry.cli.documents.places import Unreadable
    from agentry.cli.documents.reading import KINDS, check, read_paths

    try:
        documents = check(read_paths(files), kinds=kinds or KINDS)
    except Unreadable as error:
        for finding in error.findings:
            print(plain(finding), file=sys.stderr)
        _count(len(error.findings))
        raise typer.Exit(ExitCode.USAGE) from error
    if not documents:
        raise usage_error(
            "There are no documents in what was given.",
            "A document begins with `apiVersion: agentry/v1`; folders are searched for *.yaml.",
        )
    send_documents(inv, documents, dry_run=dry_run)


def _count(number: int) -> None:
    told = "1 mistake" if number == 1 else f"{number} mistakes"
    print(f"{told}; nothing was changed.", file=sys.stderr)


def send_documents(inv: Invocation, documents: Sequence[Any], *, dry_run: bool) -> None:
    """Send checked documents; the server's objections come back as places in the files."""
    from agentry.cli.documents.reading import place_of

    contents = [document.content(os.environ) for document in documents]
    try:
        answer = inv.fetch(account.apply(contents, dry_run=dry_run))
    except InvalidRequest as error:
        if not error.fields:
            raise
        count = 0
        for path, sentences in error.fields.items():
            place, below = place_of(list(documents), path)
            for sentence in sentences:
                count += 1
                lead = f"{place}: {below}: " if place else f"{path}: "
                print(plain(lead + sentence), file=sys.stderr)
        _count(count)
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
    for sign, side, style in (("-", "before", "red"), ("+", "after", "green")):
        value = difference.get(side)
        if value is None:
            continue
        texts = value.split("\n") if isinstance(value, str) else [compact(value)]
        lines += [(f"      {sign} {_indented(text)}", style) for text in texts]
    return lines


def _indented(text: str) -> str:
    """One line as it stands: in YAML and in prompts the beginning of a line has a meaning."""
    depth = len(text) - len(text.lstrip(" "))
    return " " * min(depth, 80) + one_line(text, width=160)
