"""Do 200,000 runs grow the page of metrics? Series of each family, of a site and of a worker.

    python -m tests.bench.series [--runs 200000] [--json FILE]

PostgreSQL, a site, a worker and a process that tells of runs (`tests/bench/series_told.py`) are one
host: `/metrics` of the site and of the worker are read when nothing has run, when a hundredth of
the runs was told, half of them, and all, while the table of runs holds as many rows. Agents, models
and tools are named by the thousand, hostile names among them.

The values of labels must not grow after the first hundredth, and series not after the first half:
by then whatever values there are have met each other. It ends with status 1 where they do.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
from rich.console import Console
from rich.table import Table

from core import clock
from tests.bench.durable_steps import BenchError
from tests.bench.machine import describe
from tests.bench.programs import OUR_PYTHON, ROOT
from tests.bench.report import RESULTS, commit_name
from tests.bench.servers import running_servers
from tests.services import free_port
from tests.waiting import wait_for

RUNS: Final = 200_000
PATIENCE_SECONDS: Final = 1_800
_LINE: Final = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? [^ \n]+$')
_LABEL: Final = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"[,}]')
_PART: Final = re.compile(r"_(bucket|sum|count)$")


def series(page: str) -> Counter[str]:
    """Count the series of each family; histograms count their buckets, sums and counts.

    Raises:
        ValueError: A line is neither a comment nor one series with its value.
    """
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE))
    found: Counter[str] = Counter()
    for line in page.splitlines():
        if line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"no line of metrics: {line[:200]!r}")
        name = match[1]
        family = name if name in types else _PART.sub("", name)
        if family not in types:
            raise ValueError(f"a series of no family: {line[:200]!r}")
        found[family] += 1
    return found


def label_values(page: str) -> dict[str, set[str]]:
    """Return the values that each label has anywhere on the page."""
    found: dict[str, set[str]] = {}
    for line in page.splitlines():
        for label, value in () if line.startswith("#") else _LABEL.findall(line):
            found.setdefault(label, set()).add(value)
    return found


@contextmanager
def process(arguments: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """A process of the site, ended afterwards."""
    begun = subprocess.Popen(
        [OUR_PYTHON, *arguments], cwd=ROOT, env=dict(environment), stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        begun.terminate()
        begun.wait(60)


def run(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Run a process to its end; return how long it took."""
    begun = time.monotonic()
    done = subprocess.run(
        [OUR_PYTHON, *arguments], cwd=ROOT, env=dict(environment), timeout=PATIENCE_SECONDS,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise BenchError(f"{' '.join(arguments)} ended with {done.returncode}")
    return time.monotonic() - begun


def fill(runs: int, environment: Mapping[str, str]) -> None:
    """Write the rows of runs, and agents with the names that are told."""
    run(["-m", "tests.bench.series_rows", str(runs)], environment)


def page(address: str) -> str:
    answer = httpx2.get(f"http://{address}/metrics", timeout=60)
    if answer.status_code != 200:
        raise BenchError(f"{address} answered {answer.status_code}")
    return answer.text


def wander(address: str, count: int) -> None:
    """Ask the site for addresses nobody serves, by methods nobody knows."""
    with httpx2.Client(base_url=f"http://{address}", timeout=60) as http:
        for number in range(count):
            method = ("GET", "POST", f"VERB{number}")[number % 3]
            http.request(method, f"/nowhere/{number}/{'deep/' * (number % 5)}")


def measure(runs: int) -> dict[str, Any]:
    with running_servers() as servers, ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="agentry-bench-"))
        url = stack.enter_context(servers.database("bench_series"))
        web, worker = (f"127.0.0.1:{free_port()}" for _ in range(2))
        environment = {
            **os.environ, "DATABASE_URL": url, "REDIS_URL": servers.redis_url,
            "AGENTRY_DATA_DIR": folder, "AGENTRY_ENGINE": "off", "AGENTRY_LOG_LEVEL": "ERROR",
            "AGENTRY_METRICS_ADDRESS": worker,
            "DJANGO_SETTINGS_MODULE": "agentry_site.settings.base",
        }  # fmt: skip
        fill(runs, environment)
        serve = ["manage.py", "serve", f"--port={web.rpartition(':')[2]}"]
        stack.enter_context(process(serve, environment))
        stack.enter_context(process(["manage.py", "worker", "--name=bench"], environment))
        places = {"site": web, "worker": worker}
        for address in places.values():
            wait_for(partial(_answers, address), lambda: "no page of metrics")
        moments = [_looked(places, 0, 0.0)]
        steps = (0, runs // 100, runs // 2, runs)
        for before, told in pairwise(steps):
            taken = run(["-m", "tests.bench.series_told", str(before), str(told - before)],
                        environment)  # fmt: skip
            wander(web, (told - before) // 100)
            time.sleep(6)  # what the database says is asked anew every five seconds
            moments.append(_looked(places, told, taken))
        return {
            "format": 1,
            "measured_at": clock.now().isoformat(timespec="seconds"),
            "commit": commit_name(),
            "machine": describe(servers),
            "rows": runs,
            "moments": moments,
        }


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"http://{address}/metrics", timeout=20).status_code == 200
    except httpx2.HTTPError:
        return False


def _looked(places: Mapping[str, str], told: int, taken: float) -> dict[str, Any]:
    pages = {name: page(address) for name, address in places.items()}
    return {
        "told": told,
        "seconds": round(taken, 1),
        "bytes": {name: len(text.encode()) for name, text in pages.items()},
        "series": {name: dict(sorted(series(text).items())) for name, text in pages.items()},
        "values": {
            name: {label: len(each) for label, each in sorted(label_values(text).items())}
            for name, text in pages.items()
        },
    }


def grown(result: Mapping[str, Any]) -> list[str]:
    """Name what has more values, or more series, than it had when it should have had all."""
    _, hundredth, half, all_told = result["moments"]
    return [
        f"{what} {name} of the {place}: {before[what][place].get(name, 0)} → {count}"
        for what, before in (("values", hundredth), ("series", half))
        for place, found in all_told[what].items()
        for name, count in found.items()
        if count > before[what][place].get(name, 0)
    ]


def show(console: Console, result: Mapping[str, Any]) -> None:
    moments, places = result["moments"], ("site", "worker")
    table = Table(title=f"series with {result['rows']:,} runs in the table", title_justify="left")
    table.add_column("of")
    for place in places:
        for moment in moments:
            table.add_column(f"{place}, {moment['told']:,} told", justify="right")
    for what, title in (("series", "{}"), ("values", "values of {}")):
        names = {name for each in moments for found in each[what].values() for name in found}
        for name in sorted(names):
            counts = [each[what][place].get(name, 0) for place in places for each in moments]
            table.add_row(title.format(name), *(f"{count:,}" for count in counts))
        table.add_section()
    sums = [sum(each["series"][place].values()) for place in places for each in moments]
    table.add_row("all series", *(f"{count:,}" for count in sums))
    sizes = [each["bytes"][place] for place in places for each in moments]
    table.add_row("bytes of the page", *(f"{size:,}" for size in sizes))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path, help="Where to keep the result.")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    result = measure(given.runs)
    show(console, result)
    file = given.json or RESULTS / f"{result['measured_at'][:10]}-series.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(f"written: {file}", markup=False)
    for line in (found := grown(result)):
        console.print(f"grown: {line}", style="red", markup=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
