"""Where results go: one table on the screen, JSON files that later runs can be compared with."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.figures import REQUIRED
from tests.bench.programs import ROOT
from tests.bench.sections import Row

RESULTS = ROOT / "tests" / "bench" / "results"


def print_table(
    console: Console, rows: Sequence[tuple[str, Row]], quoted: Mapping[str, Any]
) -> None:
    """Print every measured case, then the quoted figures."""
    table = Table(title="make bench", title_justify="left")
    table.add_column("section")
    table.add_column("case", no_wrap=True)
    table.add_column("figure", overflow="fold")
    table.add_column("CPU")
    table.add_column("spin s", justify="right")
    before = ""
    for section, row in rows:
        if before and section != before:
            table.add_section()
        spin = "" if row.spin_seconds is None else f"{row.spin_seconds:.2f}"
        table.add_row(section if section != before else "", row.case, row.figure, row.cpu, spin)
        before = section
    table.add_section()
    for name, value in quoted.items():
        if value is not None:
            table.add_row("quoted", name, f"{value:g}", "", "")
    console.print(table)


def keep(result: dict[str, Any], folder: Path = RESULTS) -> list[Path]:
    """Write the result by date and commit, add it to the history, return the files written.

    `latest.json` changes only for a result that has all required figures, so that measuring one
    section again does not take the others away from whoever reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    files = [folder / f"{result['measured_at'][:10]}-{result['commit']}.json"]
    if not missing(result):
        files.append(folder / "latest.json")
    for file in files:
        file.write_text(text)
    history = folder / "history.jsonl"
    line = {name: value for name, value in result.items() if name not in {"sections", "passes"}}
    with history.open("a") as lines:
        lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [*files, history]


def missing(result: Mapping[str, Any]) -> list[str]:
    """Name the required figures a result does not have."""
    return [name for name in REQUIRED if result[name] is None]


def commit_name() -> str:
    """Return the short name of the measured commit, marked when the tree differs from it."""
    short = _git("rev-parse", "--short", "HEAD") or "uncommitted"
    return f"{short}-changed" if _git("status", "--porcelain", "--untracked-files=no") else short


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""
