"""`agentry providers|models|tools|sessions …`: what agents are made of."""

from typing import Annotated

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import (
    UNPROTECTED,
    Column,
    Row,
    print_danger,
    print_record,
    seconds_ago,
)
from agentry.client.calls import agents, catalogue

PROVIDERS = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("URL", "base_url"),
    Column("KEY", "has_key"),
    Column("ENABLED", "is_enabled"),
)
MODELS = (
    Column("NAME", "name"),
    Column("PROVIDER", "provider"),
    Column("VENDOR NAME", "vendor_name"),
    Column("FALLBACK", "fallback"),
    Column("ENABLED", "is_enabled"),
)


def _sandbox(row: Row) -> str:
    if row.get("is_unprotected"):
        return "UNPROTECTED"
    return str(row.get("engine") or "yes") if row.get("is_sandboxed") else ""


def _print_tool(tool: Row) -> None:
    if tool.get("is_unprotected"):
        print_danger(UNPROTECTED)
    print_record(tool)


TOOLS = (
    Column("NAME", "name"),
    Column("EFFECT", "effect"),
    Column("BUILT-IN", "is_builtin"),
    Column("SANDBOX", _sandbox),
    Column("PRIVILEGED", "is_privileged"),
    Column("ENABLED", "is_enabled"),
    Column("DESCRIPTION", "description", 70),
)
SESSIONS = (
    Column("ID", "id"),
    Column("AGENT", "agent"),
    Column("STRATEGY", "strategy"),
    Column("AGE", lambda row: seconds_ago(row.get("created_at"))),
    Column("TITLE", "title"),
)
All = Annotated[bool, typer.Option("--all", help="Every page, not only the first.")]


def register(parent: typer.Typer) -> None:
    _register_providers(parent)

    models = typer.Typer(no_args_is_help=True, help="Models, by the names agents use.")
    parent.add_typer(models, name="models", rich_help_panel="Definitions")

    @command(models, "ls")
    def models_ls(inv: Invocation, everything: All = False) -> None:
        """List models."""
        inv.listing(catalogue.models(limit=200), MODELS, everything=everything)

    tools = typer.Typer(no_args_is_help=True, help="Tools agents may call.")
    parent.add_typer(tools, name="tools", rich_help_panel="Definitions")

    @command(tools, "ls")
    def tools_ls(inv: Invocation, everything: All = False) -> None:
        """List built-in tools and those the workspace declares."""
        inv.listing(catalogue.tools(limit=200), TOOLS, everything=everything)

    @command(tools, "show")
    def tools_show(
        inv: Invocation, tool: Annotated[str, typer.Argument(help="The tool's name.")]
    ) -> None:
        """Show one tool with the schema of its arguments."""
        found = inv.fetch(catalogue.tool(tool))
        inv.show(found, _print_tool)

    sessions = typer.Typer(no_args_is_help=True, help="Conversations with agents.")
    parent.add_typer(sessions, name="sessions", rich_help_panel="Work")

    @command(sessions, "ls")
    def sessions_ls(
        inv: Invocation,
        agent: Annotated[str | None, typer.Option(help="Only with this agent.")] = None,
        everything: All = False,
    ) -> None:
        """List conversations, newest first."""
        inv.listing(agents.sessions(agent=agent, limit=50), SESSIONS, everything=everything)


def _register_providers(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="Where completions come from.")
    parent.add_typer(app, name="providers", rich_help_panel="Definitions")

    @command(app, "ls")
    def ls(inv: Invocation, everything: All = False) -> None:
        """List providers; keys are never shown."""
        inv.listing(catalogue.providers(limit=200), PROVIDERS, everything=everything)

    @command(app, "check")
    def check(
        inv: Invocation, provider: Annotated[str, typer.Argument(help="The provider's name.")]
    ) -> None:
        """Ask a provider a trivial question: is it reachable, is the key accepted?"""
        found = inv.fetch(catalogue.provider_check(provider))
        inv.show(found, print_record)
        if not _is_well(found):
            raise typer.Exit(ExitCode.RUN_FAILED)


def _is_well(found: Row) -> bool:
    return found.get("ok") is True
