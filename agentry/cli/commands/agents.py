"""`agentry agents …`: the agents of a workspace and their versions."""

from pathlib import Path
from typing import Annotated

import typer

from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, compact, print_fields, print_table
from agentry.cli.terminal import plain
from agentry.client.calls import agents

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]


COLUMNS = (
    Column("NAME", "name"),
    Column("PUBLISHED", "published"),
    Column("DRAFT", "draft"),
    Column("ENABLED", "is_enabled"),
    Column("DESCRIPTION", "description"),
)
VERSION_COLUMNS = (
    Column("NUMBER", "number"),
    Column("STATE", "state"),
    Column("CREATED", "created_at", 32),
    Column("NOTE", "note"),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="The agents of a workspace and their versions.")
    parent.add_typer(app, name="agents", rich_help_panel="Definitions")

    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List agents."""
        inv.listing(agents.listing(limit=200), COLUMNS, everything=everything)

    @command(app, "show")
    def show(
        inv: Invocation,
        agent: AgentName,
        version: Annotated[int | None, typer.Option(help="This version's specification.")] = None,
    ) -> None:
        """Show an agent, or one of its versions."""
        if version is not None:
            inv.show(inv.fetch(agents.version(agent, version)), _print_version)
            return
        found = inv.fetch(agents.get(agent))
        versions = inv.fetch(agents.versions(agent, limit=20))["items"]
        inv.show({**found, "versions": versions}, _print_agent)

    @command(app, "apply")
    def apply(
        inv: Invocation,
        file: Annotated[
            list[Path], typer.Option("--file", "-f", help="YAML file or folder; `-` is stdin.")
        ],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, change nothing.")] = False,
    ) -> None:
        """Create or update agents from documents (see `agentry apply`)."""
        from agentry.cli.commands.applying import apply_files

        apply_files(inv, file, dry_run=dry_run, kinds=frozenset({"Agent"}))

    @command(app, "publish")
    def publish(
        inv: Invocation,
        agent: AgentName,
        number: Annotated[
            int | None, typer.Argument(help="The version; default: the draft.")
        ] = None,
    ) -> None:
        """Make a draft immutable and the version that new runs use."""
        if number is None:
            number = _draft_of(inv, agent)
        published = inv.fetch(agents.publish(agent, number))
        inv.show(published, lambda value: print(plain(f"{agent} v{value['number']} is published.")))


def _draft_of(inv: Invocation, agent: str) -> int:
    draft = inv.client.agents.get(agent).draft
    if draft is None:
        raise usage_error(f"{agent} has no draft.", "Make one with `agentry apply -f FILE`.")
    return draft


def _print_agent(agent: Row) -> None:
    fields = [
        ("Agent", agent.get("name")),
        ("Description", agent.get("description")),
        ("Published", agent.get("published")),
        ("Draft", agent.get("draft")),
        ("Enabled", agent.get("is_enabled")),
    ]
    print_fields(fields)
    if agent.get("spec"):
        _print_spec(agent["spec"])
    print()
    print_table(agent["versions"], VERSION_COLUMNS)


def _print_version(version: Row) -> None:
    print_fields([(column.title.title(), column.text(version)) for column in VERSION_COLUMNS])
    _print_spec(version.get("spec") or {})


def _print_spec(spec: Row) -> None:
    fields: list[tuple[str, object]] = [
        (name, compact(value) if isinstance(value, dict | list) else value)
        for name, value in spec.items()
        if value not in (None, "", [], {})
    ]
    if fields:
        print_fields(fields)
