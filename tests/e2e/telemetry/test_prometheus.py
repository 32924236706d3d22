"""A real Prometheus scrapes a real site at work; dashboards and alerts find what they ask for."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from core.metrics.table import METRICS, Kind
from tests.e2e.browser.stage import WORKSPACE, Stage, staged
from tests.services.prometheus import PrometheusServer
from tests.waiting import wait_for

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
BOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
# What Grafana puts in place of its variables, for a site that has been up for seconds.
GRAFANA = {"$__rate_interval": "1m", "$__range": "5m"}
SIGHTS = (
    "count_over_time(agentry_database_up[5m]) >= 4",
    "sum(increase(agentry_runs_finished_total[1m])) >= 2",
    "sum(agentry_deliveries_total) >= 1",
)


def expressions(board: Path) -> list[str]:
    panels = json.loads(board.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    for variable, value in GRAFANA.items():
        found = [each.replace(variable, value) for each in found]
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("scraped")) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> Iterator[httpx2.Client]:
    """It has scraped the site before, while and after runs ended there."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [scrape] = config["scrape_configs"]
    scrape["static_configs"] = [{"targets": [stage.url.removeprefix("http://")]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(DEPLOY / "prometheus" / "alerts.yml", folder)
    server = PrometheusServer(folder, folder / "prometheus.yml")
    server.start()
    try:
        with httpx2.Client(base_url=server.url, timeout=20) as http:
            wait_for(lambda: asked(http, "agentry_database_up == 1"), server.log_file.read_text)
            _work(stage)
            for sight in SIGHTS:
                wait_for(partial(asked, http, sight), partial(_missed, sight, stage))
            yield http
    finally:
        server.stop()


def _missed(sight: str, stage: Stage) -> str:
    return f"{sight} is not so: {page(stage)}"


def _work(stage: Stage) -> None:
    headers = {"authorization": f"Bearer {stage.token}"}
    with httpx2.Client(base_url=stage.url, headers=headers, timeout=30) as http:
        for agent in ("greeter", "translator", "release-notes"):
            path = f"/api/v1/workspaces/{WORKSPACE}/agents/{agent}/invoke"
            answer = http.post(path, json={"input": "Go.", "wait": 20})
            assert answer.status_code in {200, 202}, answer.text


def page(stage: Stage) -> str:
    return httpx2.get(f"{stage.url}/metrics", timeout=20).text


def asked(http: httpx2.Client, expression: str) -> list[dict[str, Any]]:
    answer = http.get("/api/v1/query", params={"query": expression})
    document = answer.json()
    assert document["status"] == "success", (expression, document)
    found: list[dict[str, Any]] = document["data"]["result"]
    return found


def test_every_line_of_a_working_site_passes_promtool(stage: Stage) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; run: scripts/services install"
    page(stage)  # so that a request has been counted
    text = page(stage)

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    for name in ("http_requests_total", "http_request_duration_seconds_count", "agent_up",
                 "tokens_total", "tool_latency_seconds_count"):  # fmt: skip
        assert re.search(rf"^agentry_{name}{{", text, re.MULTILINE), name
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-7", text)  # no id of anything
    assert WORKSPACE not in text.replace("workspace", "")


def test_the_files_are_valid_and_the_alerts_fire_when_they_should() -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; run: scripts/services install"
    for order in (
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ):
        done = subprocess.run(
            [promtool, *order], cwd=DEPLOY / "prometheus", capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_every_panel_of_a_dashboard_shows_data(board: Path, prometheus: httpx2.Client) -> None:
    queries = expressions(board)
    assert len(queries) > 10
    empty = [
        query
        for query in queries
        if not any(math.isfinite(float(row["value"][1])) for row in asked(prometheus, query))
    ]

    assert empty == []


def test_every_alert_can_be_asked_and_asks_for_what_there_is(prometheus: httpx2.Client) -> None:
    told = {
        metric.name + suffix
        for metric in METRICS
        for suffix in (("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",))
    } | {"up"}
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len(rules) > 10
    for rule in rules:
        asked(prometheus, rule["expr"])
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
    used = {
        name
        for text in [
            *(rule["expr"] for rule in rules),
            *(e for b in BOARDS for e in expressions(b)),
        ]
        for name in re.findall(r"\b(?:agentry_\w+|up)\b", text)
    }
    assert used - told == set()
    loaded = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    states = {rule["name"]: rule["health"] for group in loaded for rule in group["rules"]}
    assert len(states) == len(rules)
    assert set(states.values()) == {"ok"}
