"""`agentry cost`: what a workspace spent, on what and by whom."""

from decimal import Decimal
from typing import Annotated, Any

import typer

from agentry.cli.invocation import Invocation, command
from agentry.cli.output import Column, Row, dollars, print_fields, print_table
from agentry.cli.terminal import plain
from agentry.client.calls import account

_TIMES = ("hour", "day")


def register(parent: typer.Typer) -> None:
    @command(parent, "cost", panel="Work")
    def cost(
        inv: Invocation,
        period: Annotated[str, typer.Option(help="24h, 7d or 30d.")] = "7d",
        by: Annotated[
            list[str] | None,
            typer.Option(
                "--by",
                help="agent, model, provider, user, day, hour or hour_of_day; up to three times.",
            ),
        ] = None,
    ) -> None:
        """What the workspace spent: today, this month, the forecast, and by agent.

        An amount after ≥ is a floor: some calls had no known price. With --output json, all of it.
        """
        found = inv.fetch(account.cost(period=period, by=by or ["agent"]))
        inv.show(found, _printed)
        if inv.is_table and not found["rows"]:
            inv.say("Nothing was used in this time.")


def _printed(found: Row) -> None:
    fields: list[tuple[str, object]] = [
        (f"Last {found['period']}", _amount(found["total"])),
        ("Before that", _amount(found["before"])),
        ("Today", _amount(found["today"])),
        ("This month", _amount(found["month"])),
    ]
    forecast = found.get("forecast")
    if forecast:
        span = f"${forecast['low_usd']} to ${forecast['high_usd']}"
        fields += [("Forecast", f"${forecast['usd']} ({span}). {forecast['method']}")]
    total = found["total"]
    if total["unknown_calls"]:
        told = f"{total['unknown_calls']} of {total['calls']} calls"
        fields += [("No known price", f"{told}; budgets count {_dollars(found['unknown_usd'])}")]
    if found.get("counted_until"):
        fields += [("Counted until", found["counted_until"])]
    print_fields(fields)
    if found["rows"]:
        print()
        print_table(found["rows"], _columns(found["by"]))
    if found["rows_left_out"]:
        print(plain(f"and {found['rows_left_out']} cheaper rows"))


def _columns(by: list[str]) -> list[Column]:
    return [
        *(Column(name.upper().replace("_", " "), _cell(name), 40) for name in by),
        Column("COST", _amount),
        Column("CALLS", "calls"),
        Column("TOKENS IN", "input_tokens"),
        Column("CACHED", "cache_read_tokens"),
        Column("TOKENS OUT", "output_tokens"),
        Column("NO PRICE", lambda row: row["unknown_calls"] or None),
    ]


def _cell(name: str) -> Any:
    if name in _TIMES:
        return lambda row: str(row[name])[: 10 if name == "day" else 16].replace("T", " ")
    return name


def _amount(row: Row) -> str:
    """Dollars; with a mark where they are only what is known."""
    if row["is_floor"] and not Decimal(row["cost_usd"]):
        return "unknown"
    return ("≥ " if row["is_floor"] else "") + _dollars(row["cost_usd"])


def _dollars(usd: str) -> str:
    """To the cent; below a dollar to a hundredth of a cent, below that to the last digit."""
    amount = Decimal(usd)
    if amount >= 1:
        return f"${amount:.2f}"
    return dollars(round(amount, 4) or amount)
