"""`agentry import`: carry over the configuration of the earlier tool."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import OutputFormat, print_document
from agentry.cli.terminal import escaped, plain

if TYPE_CHECKING:
    from agentry.cli.legacy.notes import Note


def register(app: typer.Typer) -> None:
    @command(app, "import", panel="Definitions")
    def import_(
        inv: Invocation,
        file: Annotated[Path, typer.Argument(help="An old .agentry.yaml, or a role file.")],
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Print the documents, change nothing.")
        ] = False,
    ) -> None:
        """Translate an old .agentry.yaml into documents, and apply them.

        Every part of the file is accounted for, with its line: kept, changed, or not supported and
        why. The documents of --dry-run can be kept in a file, edited, and applied.
        """
        from agentry.cli.documents.places import Unreadable
        from agentry.cli.legacy.translate import translate

        try:
            translation = translate(file)
        except Unreadable as error:
            for finding in error.findings:
                print(plain(finding), file=sys.stderr)
            raise typer.Exit(ExitCode.USAGE) from error
        for note in translation.notes:
            _say(inv, note)
        if dry_run:
            _print_documents(inv, translation.documents)
        else:
            _apply(inv, translation.documents, file)


def _say(inv: Invocation, note: "Note") -> None:
    sign = {"kept": "=", "changed": "~", "unsupported": "!"}[note.fate.value]
    inv.say(f"{sign} {note.place}: {note.sentence}")


def _print_documents(inv: Invocation, documents: list[dict[str, Any]]) -> None:
    """YAML documents that `apply -f -` takes, unless JSON was asked for."""
    if inv.output is OutputFormat.JSON:
        print_document(documents, OutputFormat.JSON)
        return
    sys.stdout.write(escaped(as_yaml(documents)))


def as_yaml(documents: list[dict[str, Any]]) -> str:
    import yaml

    return yaml.safe_dump_all(
        documents, allow_unicode=True, sort_keys=False, width=100, explicit_start=True
    )


def _apply(inv: Invocation, documents: list[dict[str, Any]], file: Path) -> None:
    from agentry.cli.commands.applying import send_documents
    from agentry.cli.documents.places import Unreadable, read_yaml
    from agentry.cli.documents.reading import check

    try:
        checked = check(read_yaml(as_yaml(documents), f"{file} (translated)"))
    except Unreadable as error:
        for finding in error.findings:
            print(plain(finding), file=sys.stderr)
        inv.say("Nothing was applied. Set what is missing, or use --dry-run and edit the result.")
        raise typer.Exit(ExitCode.USAGE) from error
    send_documents(inv, checked, dry_run=False)
