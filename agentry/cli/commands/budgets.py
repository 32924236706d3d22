"""`agentry budgets …`: how much may be spent, by whom, and how that stands."""

from typing import Annotated

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, Row, dollars, print_fields
from agentry.cli.terminal import plain
from agentry.client.calls import budgets
from agentry.client.errors import NotFound

PERIODS = ("day", "week", "month", "total")

BudgetName = Annotated[str, typer.Argument(metavar="BUDGET", help="The budget's name.")]
Amount = Annotated[str, typer.Argument(metavar="USD", help="Dollars, such as 25 or 0.50.")]


def _whose(row: Row) -> str:
    return str(row["agent"] or row["user"] or "")


def _standing(name: str) -> Column:
    title = name.removesuffix("_usd").upper()
    return Column(title, lambda row: dollars(row["now"][name]))


BUDGETS = (
    Column("NAME", "name"),
    Column("FOR", "kind"),
    Column("WHOM", _whose),
    Column("PERIOD", "period"),
    _standing("limit_usd"),
    _standing("spent_usd"),
    _standing("reserved_usd"),
    Column("LEFT", lambda row: dollars(row["now"]["remaining_usd"])),
    Column("WAITING", lambda row: row["now"]["waiting"]),
    Column("ENABLED", "is_enabled"),
)


def register(parent: typer.Typer) -> None:
    app = typer.Typer(no_args_is_help=True, help="How much may be spent, and by whom.")
    parent.add_typer(app, name="budgets", rich_help_panel="Definitions")
    _register_reading(app)
    _register_setting(app)
    _register_changing(app)


def _register_reading(app: typer.Typer) -> None:
    @command(app, "ls")
    def ls(
        inv: Invocation,
        everything: Annotated[bool, typer.Option("--all", help="Every page.")] = False,
    ) -> None:
        """List budgets with what is spent and set aside in their current periods."""
        inv.listing(budgets.budgets(limit=100), BUDGETS, everything=everything)

    @command(app, "show")
    def show(inv: Invocation, budget: BudgetName) -> None:
        """Show one budget and how it stands."""
        inv.show(inv.fetch(budgets.budget(budget)), _print_budget)

    @command(app, "tree")
    def tree(inv: Invocation) -> None:
        """Show all limits as a tree: of the workspace, of agents and members, and of runs."""
        inv.show(inv.fetch(budgets.budget_tree()), _print_tree)


def _register_setting(app: typer.Typer) -> None:
    @command(app, "set")
    def set_(
        inv: Invocation,
        budget: BudgetName,
        limit: Amount,
        agent: Annotated[
            str | None, typer.Option(help="A new budget is for runs of this agent.")
        ] = None,
        user: Annotated[
            str | None, typer.Option(help="A new budget is for what this member asks for.")
        ] = None,
        period: Annotated[
            str | None, typer.Option(help="Of a new budget: day, week, month or total.")
        ] = None,
        time_zone: Annotated[
            str | None,
            typer.Option(help="Of a new budget: where its days begin."),
        ] = None,
        note: Annotated[str | None, typer.Option(help="What people should know of it.")] = None,
        enabled: Annotated[
            bool | None, typer.Option("--on/--off", help="Whether it counts.")
        ] = None,
    ) -> None:
        """Make a budget, or give one that is there another limit.

        Without --agent or --user a new budget is for the whole workspace.
        """
        if agent and user:
            raise usage_error("A budget is for an agent or for a user.", "Make two budgets.")
        if period is not None and period not in PERIODS:
            raise usage_error(f"There is no period {period!r}.", f"One of: {', '.join(PERIODS)}.")
        fixed = {"agent": agent, "user": user, "period": period, "time_zone": time_zone}
        if not _is_there(inv, budget):
            kind = "agent" if agent else "user" if user else "workspace"
            call = budgets.budget_create(
                budget, kind=kind, limit_usd=limit, is_enabled=enabled, note=note, **fixed
            )
        elif given := [f"--{name.replace('_', '-')}" for name, value in fixed.items() if value]:
            raise usage_error(
                f"The budget {budget} is there already, and {', '.join(given)} cannot change.",
                "Make another budget, or leave it out.",
            )
        else:
            call = budgets.budget_update(budget, limit_usd=limit, is_enabled=enabled, note=note)
        inv.show(inv.fetch(call), _print_line)


def _is_there(inv: Invocation, name: str) -> bool:
    try:
        inv.fetch(budgets.budget(name))
    except NotFound:
        return False
    return True


def _register_changing(app: typer.Typer) -> None:
    @command(app, "raise")
    def raise_(
        inv: Invocation,
        budget: BudgetName,
        usd: Annotated[
            str | None, typer.Argument(metavar="USD", help="Dollars more, such as 25 or 0.50.")
        ] = None,
        by: Annotated[
            str | None, typer.Option("--by", metavar="USD", help="The same, by its name.")
        ] = None,
        reason: Annotated[str | None, typer.Option(help="Kept in the audit chain.")] = None,
    ) -> None:
        """Give the current period of a budget more; runs that wait for room go on."""
        if (usd is None) == (by is None):
            raise usage_error(
                "Say once how many dollars more.", f"As in: agentry budgets raise {budget} 25"
            )
        call = budgets.budget_increase(budget, by_usd=usd or by or "", reason=reason)
        inv.show(inv.fetch(call), _print_line)

    @command(app, "rm")
    def rm(
        inv: Invocation,
        budget: BudgetName,
        agrees: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    ) -> None:
        """Take a budget away, with what was counted against it."""
        if not agrees:
            inv.fetch(budgets.budget(budget))  # before the question, whether it is there
            question = f"Delete the budget {plain(budget)} and what was counted against it?"
            if not typer.confirm(question, default=False, err=True):
                raise typer.Exit(ExitCode.USAGE)
        inv.client.budgets.delete(budget)
        inv.say(f"The budget {budget} is deleted.")


def _told(now: Row) -> str:
    waiting = now["waiting"]
    more = f"; {waiting} waiting for more" if waiting else ""
    return (
        f"{dollars(now['spent_usd'])} spent and {dollars(now['reserved_usd'])} set aside of "
        f"{dollars(now['limit_usd'])}, {dollars(now['remaining_usd'])} left{more}"
    )


def _print_line(row: Row) -> None:
    print(plain(f"{row['name']}: {_told(row['now'])}"))


def _print_budget(row: Row) -> None:
    fields = [(name, value) for name, value in row.items() if name not in {"now", "limit_usd"}]
    shown = [(name, value) for name, value in fields if value not in (None, "")]
    print_fields([*shown, ("limit", dollars(row["limit_usd"])), ("now", _told(row["now"]))])


def _print_tree(tree: Row) -> None:
    if not tree["branches"]:
        print("There are no budgets. Make one: agentry budgets set monthly 100")
    for branch in tree["branches"]:
        about = branch["whose"] if branch["kind"] != "run" else f"run {branch['run']}"
        name = f"{'  ' * branch['depth']}{branch['title']} ({about})"
        print(plain(f"{name}: {_told(branch['now'])}"))
