"""`agentry policy …`: what a workspace's tool calls are judged by."""

from pathlib import Path
from typing import Annotated, Any

import typer

from agentry.cli.commands import policy_trying
from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Column, Row, print_fields, print_table
from agentry.cli.terminal import plain
from agentry.client.calls import governing

_DIFFERENCES = (
    Column("TOOL", "tool", 30),
    Column("DECIDED", "effect"),
    Column("BY", "rule", 30),
    Column("SHADOW", "shadow_effect"),
    Column("SHADOW BY", "shadow_rule", 30),
    Column("RUN", "run"),
    Column("AT", "at"),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="What tool calls are judged by.")
    parent.add_typer(app, name="policy", rich_help_panel="Definitions")
    policy_trying.register(app)

    @command(app, "show")
    def show(
        inv: Invocation,
        version: Annotated[int | None, typer.Option(help="This published version.")] = None,
    ) -> None:
        """Show the draft, or a published version."""
        if version is not None:
            inv.show(inv.fetch(governing.policy_version(version)), _print_policy)
        else:
            inv.show(inv.fetch(governing.policy()), _print_policy)

    _register_publish(app)
    _register_shadow(app)


def _register_publish(app: typer.Typer) -> None:
    @command(app, "publish")
    def publish(
        inv: Invocation,
        file: Annotated[
            Path | None,
            typer.Argument(
                metavar="[FILE]", help="Write this as the draft first; `.rego` is Rego."
            ),
        ] = None,
        note: Annotated[str | None, typer.Option(help="Why; kept with the version.")] = None,
        cases: Annotated[
            Path | None, typer.Option(help="Test cases, kept with the draft; all must hold.")
        ] = None,
        shadow: Annotated[
            bool, typer.Option("--shadow", help="Ask it beside what decides; it decides nothing.")
        ] = False,
        simulate: Annotated[
            bool,
            typer.Option(
                "--simulate", help="First say what it changes about the last 7 days, and ask."
            ),
        ] = False,
        despite_failures: Annotated[
            bool,
            typer.Option(
                "--despite-failures", help="Publish although test cases fail; this is recorded."
            ),
        ] = False,
    ) -> None:
        """Put the draft in force; with a file, what is in it."""
        _write(inv, file, cases)
        if simulate:
            found = policy_trying.simulated(inv, {"days": policy_trying.DAYS}, calls=None)
            policy_trying.print_simulation(found)
            typer.confirm("Publish it?", abort=True, err=True)
        answer = inv.fetch(
            governing.policy_publish(
                note=note,
                mode="shadow" if shadow else None,
                despite_failures=despite_failures or None,
            )
        )
        inv.show(answer, _print_published)


def _register_shadow(app: typer.Typer) -> None:
    @command(app, "shadow")
    def shadow(
        inv: Invocation,
        end: Annotated[bool, typer.Option("--end", help="Ask the shadow no more.")] = False,
        limit: Annotated[int, typer.Option(help="Calls to show, at most.")] = 30,
    ) -> None:
        """Show what the shadow would have decided otherwise, and how often."""
        if end:
            inv.client.send(governing.policy_shadow_end())
            inv.say("No shadow is asked any more.")
            return
        number = inv.fetch(governing.policy())["shadow"]
        version = None if number is None else inv.fetch(governing.policy_version(number))
        page = inv.fetch(governing.policy_differences(limit=limit))
        inv.show({"version": version, "differences": page["items"]}, _print_shadow)


def _write(inv: Invocation, file: Path | None, cases: Path | None) -> None:
    """Make what is in the files the draft."""
    given = None if cases is None else policy_trying.text_of(cases)
    if file is not None:
        source, language = policy_trying.text_of(file), policy_trying.language_of(file)
        inv.fetch(governing.policy_write(source, language=language, cases=given))
    elif given is not None:
        source = inv.fetch(governing.policy())["source"]
        inv.fetch(governing.policy_write(source, cases=given))


def _print_policy(policy: Row) -> None:
    texts = ("source", "cases")
    print_fields([(name, value) for name, value in policy.items() if name not in texts])
    print(plain(policy["source"]))
    if policy.get("cases"):
        print(plain(f"Test cases:\n{policy['cases']}"))


def _print_published(version: Row) -> None:
    what = "is asked as a shadow" if version.get("is_shadow") else "is in force"
    print(plain(f"Version {version['number']} {what}."))


def _print_shadow(found: dict[str, Any]) -> None:
    version = found["version"]
    if version is None:
        print("No shadow is asked.")
    else:
        names = ("number", "shadow_asked", "shadow_differing", "shadow_skipped")
        print_fields([(name.removeprefix("shadow_"), version[name]) for name in names])
    if found["differences"]:
        print_table(found["differences"], _DIFFERENCES)
