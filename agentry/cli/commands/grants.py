"""`agentry grants …` and `agentry delegations …`: standing approvals, and deciding for others."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agentry.cli.commands.arguments import seconds_of
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, print_fields, seconds_ago
from agentry.cli.terminal import plain
from agentry.client.calls import granting

GrantId = Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")]


def _uses(row: Row) -> str:
    most = row.get("uses_max")
    return f"{row.get('uses', 0)} of {most}" if most else str(row.get("uses", 0))


GRANTS = (
    Column("ID", "id"),
    Column("TOOL", "tool", 40),
    Column("AGENT", lambda row: row.get("agent") or "any"),
    Column("FOR", lambda row: row.get("requester") or "anybody"),
    Column("BY", "granted_by"),
    Column("USES", _uses),
    Column("STATE", "state"),
    Column("EXPIRES", "expires_at", 32),
)
USES = (
    Column("CALL", "call"),
    Column("RUN", "run"),
    Column("AGENT", "agent"),
    Column("REQUESTER", "requester"),
    Column("AGE", lambda row: seconds_ago(row.get("at"))),
)
DELEGATIONS = (
    Column("ID", "id"),
    Column("AWAY", "delegator"),
    Column("DECIDES", "delegate"),
    Column("FROM", "from_at", 32),
    Column("UNTIL", "until_at", 32),
    Column("ENDED", "ended_at", 32),
)


def register(parent: typer.Typer) -> None:
    _grants(parent)
    _delegations(parent)


def _grants(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Standing approvals of calls alike.")
    parent.add_typer(app, name="grants", rich_help_panel="Work")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        state: Annotated[
            str, typer.Option(help="active, used_up, expired, changed or revoked.")
        ] = "active",
        tool: Annotated[str | None, typer.Option(help="Of this tool.")] = None,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List grants; by default those that hold. They are given by `approvals grant`."""
        inv.listing(
            granting.grants(state=state, tool=tool, limit=50), GRANTS, everything=everything
        )

    @command(app, "show")
    def show(inv: Invocation, grant: GrantId) -> None:
        """Show one grant: which calls it covers, what it is bound to, and why it ended."""
        inv.show(inv.fetch(granting.grant_get(grant)), _print_fields)

    @command(app, "uses")
    def uses(
        inv: Invocation,
        grant: GrantId,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List the calls that a grant let go unasked."""
        inv.listing(granting.grant_uses(grant, limit=50), USES, everything=everything)

    @command(app, "revoke")
    def revoke(
        inv: Invocation,
        grant: GrantId,
        reason: Annotated[str | None, typer.Option(help="Kept in the record.")] = None,
    ) -> None:
        """End a grant at once; the next call is asked about again."""
        inv.show(
            inv.fetch(granting.grant_revoke(grant, reason=reason)),
            lambda row: print(plain(f"{row['id']} is {row['state']}.")),
        )


def _delegations(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Who decides for whom while they are away.")
    parent.add_typer(app, name="delegations", rich_help_panel="Work")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List delegations."""
        inv.listing(granting.delegations(limit=50), DELEGATIONS, everything=everything)

    @command(app, "create")
    def create(
        inv: Invocation,
        delegate: Annotated[str, typer.Argument(help="Who decides for you.")],
        until: Annotated[str, typer.Option(help="When you are back: 2026-12-24, or 14d.")],
        from_: Annotated[
            str | None, typer.Option("--from", help="When you leave; now, if not said.")
        ] = None,
        away: Annotated[
            str | None, typer.Option("--for", help="Somebody else who is away; for admins.")
        ] = None,
        reason: Annotated[str | None, typer.Option(help="Kept in the record.")] = None,
    ) -> None:
        """Let somebody decide approvals for you while you are away."""
        call = granting.delegation_create(
            delegate,
            _moment(until, "--until"),
            from_at=None if from_ is None else _moment(from_, "--from"),
            delegator=away,
            reason=reason,
        )
        inv.show(inv.fetch(call), _print_fields)

    @command(app, "end")
    def end(
        inv: Invocation,
        delegation: Annotated[str, typer.Argument(help="The delegation's id.")],
    ) -> None:
        """End a delegation before its time."""
        inv.fetch(granting.delegation_end(delegation))
        inv.say(f"Delegation {delegation} has ended.")


def _moment(text: str, option: str) -> datetime:
    """Read a date, a time, or how long from now."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        if not text[:1].isdigit() or "-" in text:
            raise usage_error(
                f"{option} {text!r} is no time.", "Write 2026-12-24, or 14d from now."
            ) from None
        return datetime.now(UTC) + timedelta(seconds=seconds_of(text, option))
    return found if found.tzinfo else found.astimezone()


def _print_fields(row: Row) -> None:
    print_fields([(name, value) for name, value in row.items() if value not in (None, "", [])])
