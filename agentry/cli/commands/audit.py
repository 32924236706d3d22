"""`agentry audit …`: taking audit chains away, and checking them without any server."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, print_fields
from agentry.cli.terminal import plain

if TYPE_CHECKING:
    from agentry.audit.documents import PublicKeys
    from agentry.audit.evidence import EvidenceReport
    from agentry.audit.verifying import Report
    from agentry.client.flow import Call

_HEADER_BYTES = 4096
Site = Annotated[bool, typer.Option("--site", help="The site's own chain; a superuser's.")]
Moment = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"])]


def _subject(row: Row) -> str:
    subject = row.get("subject") or {}
    return f"{subject.get('kind', '')} {subject.get('label') or subject.get('id', '')}".strip()


COLUMNS = (
    Column("ENTRY", "sequence"),
    Column("AT", "at", 32),
    Column("BY", lambda row: (row.get("actor") or {}).get("name")),
    Column("ACTION", "action"),
    Column("SUBJECT", _subject, 50),
    Column("DETAILS", "payload", 60),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Audit chains: to read, take away and check.")
    parent.add_typer(app, name="audit", rich_help_panel="This machine and the server")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        site: Site = False,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List what was recorded, newest first."""
        from agentry.client.calls import audit

        inv.listing(audit.entries(site=site, limit=50), COLUMNS, everything=everything)

    @command(app, "export")
    def export(
        inv: Invocation,
        file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; `-`: stdout.")],
        site: Site = False,
        since: Moment = None,
        until: Moment = None,
    ) -> None:
        """Write the chain with its checkpoints to a file that `audit verify` checks."""
        _export(inv, file, site=site, since=since, until=until)

    @command(app, "checkpoint")
    def checkpoint(inv: Invocation, site: Site = False) -> None:
        """Have the server sign the chain as it is now, without waiting for its schedule."""
        from agentry.client.calls import audit

        inv.show(inv.fetch(audit.checkpoint(site=site)), lambda row: print_fields([*row.items()]))

    _register_proof(app)


def _register_proof(app: typer.Typer) -> None:
    @command(app, "bundle")
    def bundle(
        inv: Invocation,
        run: Annotated[str, typer.Argument(metavar="RUN", help="A run that has ended.")],
        file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; `-`: stdout.")],
    ) -> None:
        """Write a run's evidence: what it did, by whose leave, with proof, in one file."""
        from agentry.client.calls import audit

        _written(inv, audit.evidence(run), file)

    @command(app, "key")
    def key(inv: Invocation) -> None:
        """Print the server's public key (PEM). Keep it apart from the files it is to check."""
        from agentry.client.calls import audit

        found = inv.fetch(audit.public_key())
        inv.show(found, lambda row: print(plain(row["public_key"]).rstrip()))

    @command(app, "verify")
    def verify(
        inv: Invocation,
        file: Annotated[
            Path, typer.Argument(metavar="FILE", help="An exported chain, or a run's evidence.")
        ],
        key: Annotated[list[Path], typer.Option(help="A public key you trust (PEM); repeatable.")],
        kept: Annotated[
            list[Path] | None,
            typer.Option(help="An earlier export of the chain: its checkpoints count too."),
        ] = None,
        chain: Annotated[
            Path | None,
            typer.Option(help="For evidence: an export of the chain that must have its entries."),
        ] = None,
    ) -> None:
        """Check a chain or a run's evidence on this machine alone; name the first broken place."""
        from agentry.audit.documents import read_keys

        _verify(inv, file, read_keys(key), kept or [], chain)


def _export(
    inv: Invocation, file: Path, *, site: bool, since: datetime | None, until: datetime | None
) -> None:
    from agentry.client.calls import audit

    _written(inv, audit.export(site=site, since=_aware(since), until=_aware(until)), file)


def _written(inv: Invocation, call: "Call[bytes]", file: Path) -> None:
    chunks = inv.client.chunks(inv.client.origin.request(call))
    first = next(chunks, b"")  # what is refused leaves no file behind
    if str(file) == "-":
        sys.stdout.buffer.writelines(chain([first], chunks))
        sys.stdout.buffer.flush()
        return
    try:
        with file.open("wb") as out:
            out.writelines(chain([first], chunks))
    except OSError as error:
        raise usage_error(f"{file} cannot be written: {error.strerror}.") from error
    inv.say(f"Written to {file}. Check it: agentry audit verify {file} --key KEY.pem")


def _verify(
    inv: Invocation, file: Path, keys: "PublicKeys", kept_files: list[Path], whole: Path | None
) -> None:
    from agentry.audit.evidence import FILE_FORMAT, verify_evidence
    from agentry.audit.verifying import BrokenError, verify

    try:
        with file.open("rb") as lines:
            is_evidence = FILE_FORMAT.encode() in lines.readline(_HEADER_BYTES)
            lines.seek(0)
            if is_evidence:
                if whole is not None:
                    with whole.open("rb") as entries:
                        verify(entries, keys)
                with whole.open("rb") if whole else nullcontext() as entries:
                    proof = verify_evidence(lines, keys, chain=entries)
                inv.show(_proved(proof), lambda _: print(plain(_proof(proof))))
                return
            kept = [found for each in kept_files for found in _kept(each, keys)]
            report = verify(lines, keys, kept=kept)
    except OSError as error:
        raise usage_error(f"{error.filename} cannot be read: {error.strerror}.") from error
    except BrokenError as error:
        told = plain(f"{file}: {error}")
        found = {"holds": False, "entry": error.sequence, "line": error.line, "what": error.what}
        inv.show(found, lambda _: print(told))
        raise typer.Exit(ExitCode.RUN_FAILED) from None
    inv.show(_told(report), lambda _: print(plain(_sentence(report))))


def _proved(proof: "EvidenceReport") -> dict[str, object]:
    return {"holds": True, **asdict(proof)}


def _proof(proof: "EvidenceReport") -> str:
    counts = ", ".join(_counted(count, kind) for kind, count in proof.counts.items())
    chain_told = " The chain has its entries." if proof.is_in_chain else ""
    redacted = (
        f" Of {proof.redacted_calls} calls the arguments held a secret and are not shown."
        if proof.redacted_calls
        else ""
    )
    return (
        f"The evidence of run {proof.run} in {proof.workspace} holds: {counts}; "
        f"{_counted(proof.approved_effects, 'approved_effect')} ran as approved, "
        f"{proof.granted_effects} by standing approvals.{chain_told}{redacted}"
    )


_NOUNS = {
    "approved_effect": ("approved effect", "approved effects"),
    "audit": ("audit entry", "audit entries"),
    "grant_use": ("use of a grant", "uses of grants"),
    "policy": ("policy", "policies"),
}


def _counted(count: int, kind: str) -> str:
    one, many = _NOUNS.get(kind, (kind, f"{kind}s"))
    return f"{count} {one if count == 1 else many}"


def _kept(file: Path, keys: "PublicKeys") -> list[dict[str, Any]]:
    from agentry.audit.verifying import checkpoints_of

    with file.open("rb") as lines:
        return checkpoints_of(lines, keys)


def _told(report: "Report") -> dict[str, object]:
    return {
        "holds": True,
        "chain": report.chain,
        "workspace": report.workspace,
        "first": report.first,
        "last": report.last,
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "signed": report.signed,
        "exported_at": report.exported_at,
        "until": report.until,
    }


def _sentence(report: "Report") -> str:
    chain = f"workspace {report.workspace}" if report.workspace else "the site"
    if not report.entries:
        return f"The file of {chain} holds; there are no entries in it."
    signed = (
        f"checkpoints sign them up to {report.signed}"
        if report.signed >= report.first
        else "no checkpoint signs any of them yet"
    )
    return f"The chain of {chain} holds: entries {report.first} to {report.last}; {signed}."


def _aware(at: datetime | None) -> datetime | None:
    """Take a day or a time without a zone as this machine's."""
    return at.astimezone() if at is not None else None
