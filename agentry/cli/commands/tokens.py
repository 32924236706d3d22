"""`agentry tokens …`: credentials of programs."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agentry.cli.commands.arguments import seconds_of
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Column, Row, seconds_ago
from agentry.cli.terminal import plain
from agentry.client.calls import account


def _status(row: Row) -> str:
    if row.get("revoked_at"):
        return "revoked"
    expires = row.get("expires_at")
    if isinstance(expires, str) and datetime.fromisoformat(expires) <= datetime.now(UTC):
        return "expired"
    return "valid"


COLUMNS = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("PREFIX", "prefix"),
    Column("WORKSPACE", "workspace"),
    Column("STATUS", _status),
    Column("EXPIRES", "expires_at", 32),
    Column("LAST USED", lambda row: seconds_ago(row.get("last_used_at"))),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Credentials of programs.")
    parent.add_typer(app, name="tokens", rich_help_panel="This machine and the server")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List your tokens; secrets are never shown."""
        inv.listing(account.tokens(limit=100), COLUMNS, everything=everything)

    @command(app, "create")
    def create(
        inv: Invocation,
        name: Annotated[str, typer.Argument(help="What it is for.")],
        scope: Annotated[
            list[str] | None,
            typer.Option(help="Only this permission, such as run.start; repeatable."),
        ] = None,
        expires_in: Annotated[str | None, typer.Option(help="90d, 12h, …; default: never.")] = None,
        everywhere: Annotated[
            bool, typer.Option("--all-workspaces", help="Not narrowed to one workspace.")
        ] = False,
    ) -> None:
        """Create a token and print its secret, once. It goes to stdout alone."""
        expires_at = None
        if expires_in is not None:
            seconds = seconds_of(expires_in, "--expires-in")
            expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        call = account.token_create(
            name,
            workspace=None if everywhere else inv.client.origin.workspace or None,
            scopes=scope,
            expires_at=expires_at,
        )
        created = inv.fetch(call)
        inv.show(created, lambda row: print(plain(row.get("secret") or "")))
        inv.say("Keep it now: it is not shown again.")

    @command(app, "revoke")
    def revoke(
        inv: Invocation, token: Annotated[str, typer.Argument(help="The token's id.")]
    ) -> None:
        """Make a token useless, at once."""
        inv.client.tokens.revoke(token)
        inv.say(f"Token {token} is revoked.")
