"""`make bench`: measure everything on servers of our own, print one table, keep the JSON.

    python -m tests.bench --quick                    smallest counts
    python -m tests.bench --only steps,invoke        some sections
    python -m tests.bench --only steps --systems raw,engine
    python -m tests.bench --repeat 3                 medians of three interleaved passes

Exits with status 1 when anything could not be measured or an accepted run was lost, never because
a figure is bad.
"""

import argparse
import functools
import subprocess
import sys
from typing import Any

from rich.console import Console

from core import clock
from tests.bench import figures, report
from tests.bench.durable_steps import BenchError
from tests.bench.machine import describe
from tests.bench.programs import OUR_PYTHON, ROOT
from tests.bench.sections import SECTIONS, Context, Row, Section
from tests.bench.sections.contract import attempt
from tests.bench.sections.steps import SYSTEMS, chosen
from tests.bench.servers import running_servers
from tests.services import ServiceError

_FORMAT = 1  # of the JSON; a change of meaning raises it
_WIDTH_IN_FILES = 130


def main() -> int:
    """Run as a command; returns the exit status."""
    given = _arguments()
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_IN_FILES
    commit = report.commit_name()
    try:
        sections = _named_sections(_names(given.only))
        systems = _names(given.systems)
        if any(section.name == "steps" for section in sections):
            _prepare_peers(systems)
        passes, machine = _measure(console, sections, systems, given)
    except (BenchError, ServiceError) as error:
        console.print(str(error), style="red", markup=False)
        return 1
    result = _result(passes, machine, commit, given)
    rows = [
        (section.name, row)
        for section in sections
        for row in _rows(section, result["sections"][section.name])
    ]
    quoted = {name: result[name] for name in figures.QUOTED}
    report.print_table(console, rows, quoted)
    for file in report.keep(result):
        console.print(f"written: {file.relative_to(ROOT)}", markup=False)
    missing = report.missing(result)
    if missing:
        console.print(f"latest.json left as it was, without: {', '.join(missing)}", markup=False)
    found = list(figures.errors(result["sections"]))
    for place, reason in found:
        console.print(f"not measured: {place}: {reason}", style="red", markup=False)
    if result["invoke_runs_lost"]:
        console.print("accepted runs were lost: the invoke rows say where", style="red")
    return 1 if found or result["invoke_runs_lost"] else 0


def _measure(
    console: Console,
    sections: list[Section],
    systems: tuple[str, ...],
    given: argparse.Namespace,
) -> tuple[list[figures.Figures], dict[str, Any]]:
    passes = []
    with running_servers() as servers:
        machine = describe(servers)
        context = Context(
            servers=servers,
            is_quick=given.quick,
            systems=systems,
            tell=lambda words: console.print(words, style="dim", markup=False),
        )
        for number in range(given.repeat):
            if given.repeat > 1:
                console.print(f"pass {number + 1} of {given.repeat}", style="bold")
            passes.append(
                {
                    section.name: attempt(functools.partial(section.measure, context))
                    for section in sections
                }
            )
    return passes, machine


def _result(
    passes: list[figures.Figures],
    machine: dict[str, Any],
    commit: str,
    given: argparse.Namespace,
) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "measured_at": clock.now().isoformat(timespec="seconds"),
        "commit": commit,
        "quick": given.quick,
        "repeat": given.repeat,
        "machine": machine,
        **figures.quoted(passes),
        "sections": figures.median(passes),
        "passes": passes,
    }


def _rows(section: Section, measured: figures.Figures) -> list[Row]:
    if "error" in measured:
        return [Row(case="all", figure=measured["error"])]
    return section.rows(measured)


def _named_sections(names: tuple[str, ...]) -> list[Section]:
    unknown = set(names) - {section.name for section in SECTIONS}
    if unknown:
        known = ", ".join(section.name for section in SECTIONS)
        raise BenchError(f"no section is called {', '.join(sorted(unknown))}; there are {known}")
    return [section for section in SECTIONS if not names or section.name in names]


def _prepare_peers(systems: tuple[str, ...]) -> None:
    if all(system.python == OUR_PYTHON for system in chosen(systems)):
        return
    setup = ROOT / "tests" / "bench" / "peers" / "setup.py"
    done = subprocess.run([OUR_PYTHON, setup], check=False)
    if done.returncode != 0:
        raise BenchError("the peers' environment could not be made; the words above say why")


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure, print a table, keep the JSON."
    )
    parser.add_argument(
        "--only", default="", help=f"sections: {','.join(section.name for section in SECTIONS)}"
    )
    parser.add_argument(
        "--systems", default="", help=f"of steps: {','.join(system.name for system in SYSTEMS)}"
    )
    parser.add_argument("--quick", action="store_true", help="the smallest counts")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="passes; medians count")
    given = parser.parse_args()
    if given.repeat < 1:
        parser.error("--repeat starts at 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
