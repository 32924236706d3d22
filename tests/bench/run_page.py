"""The page of a run under load: 5,000 events, 200 events a second more, 200 parallel children.

    python -m tests.bench.run_page [--rate 200] [--seconds 15] [--json FILE]

PostgreSQL, Redis, the site, a writer and Chromium run on one machine. A lag is from the moment a
writer begins the transaction of an event to the second animation frame after the page has taken
it in, when it can be seen. Heap is counted after a collection.
"""

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from tests.bench.durable_steps import BenchError
from tests.bench.machine import describe
from tests.bench.programs import OUR_PYTHON, ROOT
from tests.bench.run_page_site import CHILDREN, EVENTS, PASSWORD
from tests.bench.servers import Servers, running_servers
from tests.e2e.browser.driver import browser_open, page_open

SITE = "tests.bench.run_page_site"
PATIENCE_MS = 60_000
TARGETS = {"first_paint_ms": 1_000, "lag_p95_ms": 500}

# Notes when the page has shown each number that `attribute` of `selector` goes through.
WATCH = """([selector, attribute]) => {
  window.seen = [];
  const place = document.querySelector(selector);
  const note = () => {
    const value = attribute === 'position'
      ? Number(place.querySelector(':scope > article:last-of-type')?.dataset.position ?? -1)
      : Number(place.dataset[attribute]);
    requestAnimationFrame(() => requestAnimationFrame(() => window.seen.push([value, Date.now()])));
  };
  new MutationObserver(note).observe(place, { attributes: true, childList: true });
}"""


@contextmanager
def site(environment: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Serve the site with its runs while the block runs."""
    process = subprocess.Popen(
        [OUR_PYTHON, "-m", SITE, "serve"],
        env=dict(environment), cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"the site ended at its start with {process.wait()}")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(30)


def measure(servers: Servers, *, rate: float, seconds: float) -> dict[str, Any]:
    """Measure the two pages and return the figures."""
    with servers.database("bench_run_page") as url:
        environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": servers.redis_url}
        with site(environment) as told, sync_playwright() as playwright:
            browser = browser_open(playwright)
            with page_open(browser) as page:
                base = f"http://127.0.0.1:{told['port']}/admin"
                page.goto(f"{base}/login/?next=/admin/agents/run/start/")
                page.get_by_label("Username").fill("bench")
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_url("**/start/")
                session = page.context.new_cdp_session(page)
                session.send("Performance.enable")
                figures = {}
                for tab in ("conversation", "timeline"):
                    address = f"{base}/agents/run/{told['runs']['long']}/change/#show={tab}"
                    figures[f"5,000 events, {tab}"] = _long(
                        page, session, address, environment, told["runs"]["long"],
                        rate=rate, seconds=seconds, tab=tab,
                    )  # fmt: skip
                address = f"{base}/agents/run/{told['runs']['wide']}/change/#show=timeline"
                figures[f"{CHILDREN} children, timeline"] = _wide(
                    page, session, address, environment, told["runs"]["wide"], rate=rate
                )
            browser.close()
    return figures


def _long(
    page: Page, session: CDPSession, address: str, environment: Mapping[str, str], run: str,
    *, rate: float, seconds: float, tab: str,
) -> dict[str, float]:  # fmt: skip
    figures = _opened(page, address)
    is_timeline = tab == "timeline"
    if is_timeline:
        ready = f"Number(document.querySelector('#timeline-rows').dataset.head) >= {EVENTS - 3}"
        page.wait_for_function(f"() => {ready}", timeout=PATIENCE_MS)
        figures["all_there_ms"] = page.evaluate("performance.now()")
    page.wait_for_function(
        "() => document.querySelector('.link-state.is-open')", timeout=PATIENCE_MS
    )
    # Whoever reads at the end is taken along; further up, nothing is pushed under a reader's eyes.
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    before = _heap(session)
    place = ["#timeline-rows", "head"] if is_timeline else ["#conversation-body", "position"]
    page.evaluate(WATCH, place)
    written = _program(page, environment, "write", run, str(rate), str(seconds))
    last = max(map(int, written))
    if is_timeline:
        ready = f"window.seen.length && window.seen.at(-1)[0] >= {last}"
    else:
        first = page.evaluate("Number(document.querySelector('#conversation-body').dataset.last)")
        ready = f"window.seen.length && window.seen.at(-1)[0] >= {first + len(written) // 2 - 1}"
        # One message of the assistant for each step of four events, two positions apart.
        begun = list(written.values())[::4]
        written = {str(first + 1 + 2 * number): at for number, at in enumerate(begun)}
    page.wait_for_function(f"() => {ready}", timeout=PATIENCE_MS)
    return figures | _lags(page, written) | _memory(page, before, _heap(session))


def _wide(
    page: Page, session: CDPSession, address: str, environment: Mapping[str, str], run: str,
    *, rate: float,
) -> dict[str, float]:  # fmt: skip
    figures = _opened(page, address)
    ready = "Number(document.querySelector('#timeline-rows').dataset.head) > 600"
    page.wait_for_function(f"() => {ready}", timeout=PATIENCE_MS)
    figures["all_there_ms"] = page.evaluate("performance.now()")
    before = _heap(session)
    page.evaluate(WATCH, ["#timeline-rows", "ended"])
    ended = _program(page, environment, "end", run, str(rate))
    page.wait_for_function(
        f"() => window.seen.length && window.seen.at(-1)[0] >= {CHILDREN}", timeout=PATIENCE_MS
    )
    return figures | _lags(page, ended) | _memory(page, before, _heap(session))


def _opened(page: Page, address: str) -> dict[str, float]:
    page.goto("about:blank")
    page.goto(address, wait_until="load")
    paint = (
        "performance.getEntriesByType('paint')"
        ".find((entry) => entry.name === 'first-contentful-paint')?.startTime"
    )
    page.wait_for_function(f"() => {paint}", timeout=PATIENCE_MS)
    return {"first_paint_ms": page.evaluate(paint)}


def _program(page: Page, environment: Mapping[str, str], *words: str) -> dict[str, float]:
    """Run the writer while the page goes on; return what it says of its events."""
    process = subprocess.Popen(
        [OUR_PYTHON, "-m", SITE, *words],
        env=dict(environment), cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    output = process.stdout
    assert output is not None
    while process.poll() is None and not select.select([output], [], [], 0)[0]:
        page.wait_for_timeout(200)  # Playwright's own loop has to go round
    text = output.read()
    if process.wait():
        raise BenchError(f"the writer ended with {process.returncode}")
    written: dict[str, float] = json.loads(text)
    return written


def _lags(page: Page, written: Mapping[str, float]) -> dict[str, float]:
    seen: list[list[float]] = sorted(page.evaluate("window.seen"))
    lags, at = [], 0
    for number, begun in sorted((int(number), begun) for number, begun in written.items()):
        while seen[at][0] < number:
            at += 1
        lags.append(seen[at][1] - begun)
    cuts = statistics.quantiles(lags, n=100)
    return {
        "shown": len(lags),
        "lag_p50_ms": cuts[49],
        "lag_p95_ms": cuts[94],
        "lag_max_ms": max(lags),
    }


def _heap(session: CDPSession) -> float:
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    used = next(metric["value"] for metric in metrics if metric["name"] == "JSHeapUsedSize")
    return float(used) / 1e6


def _memory(page: Page, before: float, after: float) -> dict[str, float]:
    nodes = page.evaluate("document.getElementsByTagName('*').length")
    return {"heap_before_mb": before, "heap_after_mb": after, "elements": nodes}


def print_table(figures: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="The page of a run", title_justify="left")
    names = list(dict.fromkeys(name for found in figures.values() for name in found))
    table.add_column("figure")
    for case in figures:
        table.add_column(case, justify="right")
    for name in names:
        limit = f" (below {TARGETS[name]})" if name in TARGETS else ""
        cells = [f"{found[name]:,.0f}" if name in found else "" for found in figures.values()]
        table.add_row(f"{name}{limit}", *cells)
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with running_servers() as servers:
        figures = measure(servers, rate=given.rate, seconds=given.seconds)
        load = os.getloadavg()[0]  # others may have had the processors too
        result = {
            "rate": given.rate,
            "load_average": load,
            "machine": describe(servers),
            "figures": figures,
        }
    print_table(figures)
    if given.json:
        given.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
