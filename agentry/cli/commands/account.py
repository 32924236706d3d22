"""`agentry login`, `logout`, `config`: which server, as whom, in which workspace."""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from agentry.cli import PROGRAM
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, print_fields, print_table
from agentry.cli.terminal import is_terminal, plain

if TYPE_CHECKING:
    from agentry.client.records import Me

_PANEL = "This machine and the server"


def register(app: typer.Typer) -> None:
    @command(app, "login", panel=_PANEL)
    def login(
        inv: Invocation,
        server: Annotated[
            str | None, typer.Argument(metavar="URL", help="The server's address.")
        ] = None,
        token_stdin: Annotated[
            bool, typer.Option("--token-stdin", help="Read the token from stdin.")
        ] = False,
    ) -> None:
        """Store an address and a token for later commands, after trying them.

        The file is readable by you only; --context gives the login a name beside others.
        """
        _login(inv, server or inv.url, token_stdin=token_stdin)

    @command(app, "logout", panel=_PANEL)
    def logout(inv: Invocation) -> None:
        """Forget a stored login. The token itself stays valid: see `agentry tokens revoke`."""
        _logout(inv)

    @command(app, "config", panel=_PANEL)
    def config(
        inv: Invocation,
        use: Annotated[str | None, typer.Option(help="Make this login the current one.")] = None,
    ) -> None:
        """Show which server, workspace and login are used, and where each comes from."""
        if use is not None:
            _use(inv, use)
        _config(inv)

    @command(app, "me", panel=_PANEL)
    def me(inv: Invocation) -> None:
        """Show who you are and what you may do in which workspace."""
        from agentry.client.calls import account

        found = inv.fetch(account.me())
        inv.show(found, _print_me)


def _print_me(me: Row) -> None:
    print(plain(me["user"]["username"]))
    columns = (
        Column("WORKSPACE", "name"),
        Column("TITLE", "title"),
        Column("MAY", lambda row: ", ".join(row["permissions"]), 200),
    )
    print_table(me["workspaces"], columns)


def _login(inv: Invocation, server: str, *, token_stdin: bool) -> None:
    from agentry.client import origin
    from agentry.client.synchronous import Client

    if not server:
        if not is_terminal(sys.stdin):
            raise usage_error("No address.", "agentry login URL --token-stdin")
        server = typer.prompt("Server", default="http://127.0.0.1:8000", err=True)
    url = origin.clean_url(server)
    if url.startswith("http://") and not _is_loopback(url):
        inv.say(f"Warning: {url} is not encrypted; others on the way can read the token.")
    if token_stdin or not is_terminal(sys.stdin):
        token = sys.stdin.readline().strip()
    else:
        token = typer.prompt("Token (not shown)", hide_input=True, err=True).strip()
    if not token:
        raise usage_error("No token.", "Create one in the server's pages, under Tokens.")
    with Client(url=url, token=token, max_retries=0, program=PROGRAM) as client:
        me = client.me()
    path = origin.login_path()
    logins = origin.read_logins(path)
    name = inv.context or "default"
    stored = origin.StoredContext(url=url, token=token, workspace=_choose(inv, me))
    origin.write_logins(
        path, origin.LoginFile(current=name, contexts={**logins.contexts, name: stored})
    )
    inv.say(
        f"Signed in to {url} as {me.user.username}"
        + (f", workspace {stored.workspace}." if stored.workspace else ".")
        + f" Stored as {name!r} in {path}."
    )


def _choose(inv: Invocation, me: "Me") -> str:
    """The workspace asked for, else the only one, else none yet."""
    names = [each.name for each in me.workspaces]
    if inv.workspace:
        if inv.workspace not in names:
            raise usage_error(
                f"This token does not see a workspace {inv.workspace!r}.",
                f"It sees: {', '.join(names) or 'none'}.",
            )
        return inv.workspace
    if len(names) == 1:
        return names[0]
    if names:
        inv.say(f"Workspaces: {', '.join(names)}. Choose with --workspace or AGENTRY_WORKSPACE.")
    return ""


def _is_loopback(url: str) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _logout(inv: Invocation) -> None:
    from agentry.client import origin

    path = origin.login_path()
    logins = origin.read_logins(path)
    name = inv.context or logins.current
    if name not in logins.contexts:
        raise usage_error(f"There is no login {name!r}." if name else "There is no login.")
    left = {each: stored for each, stored in logins.contexts.items() if each != name}
    current = logins.current if logins.current in left else next(iter(sorted(left)), "")
    origin.write_logins(path, origin.LoginFile(current=current, contexts=left))
    inv.say(f"Forgot {name!r}." + (f" Current is {current!r}." if current else ""))


def _use(inv: Invocation, name: str) -> None:
    from agentry.client import origin

    path = origin.login_path()
    logins = origin.read_logins(path)
    if name not in logins.contexts:
        known = ", ".join(sorted(logins.contexts)) or "none"
        raise usage_error(f"There is no login {name!r}.", f"Known: {known}.")
    origin.write_logins(path, replace(logins, current=name))
    inv.say(f"Current is {name!r}.")


def _config(inv: Invocation) -> None:
    from agentry.client import origin

    path = origin.login_path()
    logins = origin.read_logins(path)
    found = origin.find(url=inv.url, workspace=inv.workspace, context=inv.context)
    data = {
        "url": found.url,
        "workspace": found.workspace,
        "has_token": bool(found.token),
        "context": found.context,
        "sources": dict(found.sources),
        "file": str(path),
        "contexts": {
            name: {"url": each.url, "workspace": each.workspace}
            for name, each in logins.contexts.items()
        },
    }
    sources = found.sources
    fields: list[tuple[str, object]] = [
        ("Server", f"{found.url} ({sources.get('url')})"),
        ("Workspace", f"{found.workspace} ({sources['workspace']})" if found.workspace else "-"),
        ("Token", f"yes ({sources['token']})" if found.token else "none: `agentry login`"),
        ("Login", found.context),
        ("Logins", ", ".join(sorted(logins.contexts)) or "none"),
        ("File", str(path)),
    ]
    inv.show(data, lambda _: print_fields(fields))
