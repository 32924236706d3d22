"""`agentry policy test` and `agentry policy simulate`: trying a policy before it decides."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from agentry.cli.exits import ExitCode
from agentry.cli.invocation import Invocation, command, usage_error
from agentry.cli.output import Column, compact, print_fields, print_table
from agentry.cli.terminal import plain
from agentry.client.calls import governing

DAYS = 7
BATCH = 1000
CHANGES = ("newly_blocked", "newly_asked", "newly_free")
_SUMS = ("judged", "reconstructed", "abnormal", *CHANGES, "unchanged")
_RULES = (Column("CHANGE", "change"), Column("RULE", "rule", 40), Column("CALLS", "count"))
_UNJUDGED = (Column("NOT JUDGED", "reason"), Column("CALLS", "count"))
_EXAMPLES = (
    Column("CHANGE", "change"),
    Column("TOOL", "tool", 24),
    Column("USER", "user", 20),
    Column("WAS", lambda row: f"{row['before']['effect']} ({row['before']['rule']})", 30),
    Column("WOULD BE", lambda row: f"{row['after']['effect']} ({row['after']['rule']})", 30),
    Column("ARGUMENTS", lambda row: compact(row["arguments"]) if row["arguments"] else "-", 40),
    Column("RUN", "run"),
)
_Policy = Annotated[
    Path | None,
    typer.Option("--policy", help="Try this file instead of the draft; `.rego` is Rego."),
]


def register(app: typer.Typer) -> None:
    @command(app, "test")
    def test(
        inv: Invocation,
        files: Annotated[
            list[Path] | None,
            typer.Argument(metavar="[FILE]...", help="Test cases; none: those of the draft."),
        ] = None,
        policy: _Policy = None,
    ) -> None:
        """Run test cases against a policy; ends with 1 when one does not hold."""
        asked: list[Path | None] = [*files] if files else [None]
        found = [_tested(inv, file, policy) for file in asked]
        inv.show(found, _print_tested)
        if any(each["failures"] for each in found):
            raise typer.Exit(ExitCode.RUN_FAILED)

    @command(app, "simulate")
    def simulate(
        inv: Invocation,
        days: Annotated[int, typer.Option(help="Look at the calls of so many days.")] = DAYS,
        policy: _Policy = None,
        calls: Annotated[
            int | None, typer.Option("--limit", help="Look at so many calls at most.")
        ] = None,
        examples: Annotated[int, typer.Option(help="Show so many of each change.")] = 5,
    ) -> None:
        """Say what a policy would change about the calls that were made; changes nothing."""
        asked = {"days": days, "examples": examples, **_given(policy)}
        inv.show(simulated(inv, asked, calls=calls), print_simulation)


def text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise usage_error(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise usage_error(f"{file} cannot be read: it is no text in UTF-8 ({error}).") from error


def language_of(file: Path) -> str:
    return "rego" if file.suffix == ".rego" else "matrix"


def _given(policy: Path | None) -> dict[str, Any]:
    if policy is None:
        return {}
    return {"source": text_of(policy), "language": language_of(policy)}


def _tested(inv: Invocation, file: Path | None, policy: Path | None) -> dict[str, Any]:
    cases = None if file is None else text_of(file)
    answer = inv.fetch(governing.policy_test(cases=cases, **_given(policy)))
    return {"file": "the draft's cases" if file is None else str(file), **answer}


def _print_tested(found: list[dict[str, Any]]) -> None:
    for each in found:
        failures = each["failures"]
        print(plain(f"{each['file']}: {each['count'] - len(failures)} of {each['count']} hold"))
        for failure in failures:
            print(plain(f"  {failure['sentence']}"))


def simulated(inv: Invocation, asked: dict[str, Any], *, calls: int | None) -> dict[str, Any]:
    """Ask batch by batch, and return the sum of all; how far it got goes to stderr."""
    total: dict[str, Any] = dict.fromkeys(_SUMS, 0)
    rules: Counter[tuple[str, str]] = Counter()
    unjudged: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    seen, cursor = 0, None
    while calls is None or seen < calls:
        limit = BATCH if calls is None else min(BATCH, calls - seen)
        batch = inv.fetch(governing.policy_simulate(limit=limit, cursor=cursor, **asked))
        for name in _SUMS:
            total[name] += batch[name]
        rules.update({(each["change"], each["rule"]): each["count"] for each in batch["rules"]})
        unjudged.update({each["reason"]: each["count"] for each in batch["unjudged"]})
        examples += batch["examples"]
        seen += batch["judged"] + sum(each["count"] for each in batch["unjudged"])
        total |= {name: batch[name] for name in ("since", "version", "compared_with")}
        cursor = batch["next_cursor"]
        if cursor is None:
            break
        inv.say(f"{seen} calls looked at …")
    kept = asked.get("examples", 5)
    return total | {
        "is_complete": cursor is None,
        "rules": [
            {"change": change, "rule": rule, "count": count}
            for (change, rule), count in rules.most_common()
        ],
        "unjudged": [{"reason": name, "count": count} for name, count in unjudged.most_common()],
        "examples": [
            each
            for change in CHANGES
            for each in [one for one in examples if one["change"] == change][:kept]
        ],
    }


def print_simulation(found: dict[str, Any]) -> None:
    names = (*_SUMS, "since", "compared_with", "is_complete")
    print_fields([(name.replace("_", " "), found[name]) for name in names])
    for rows, columns in (
        (found["rules"], _RULES), (found["unjudged"], _UNJUDGED), (found["examples"], _EXAMPLES),
    ):  # fmt: skip
        if rows:
            print()
            print_table(rows, columns)
