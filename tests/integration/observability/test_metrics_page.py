"""Who is told the metrics, what the database adds to them, and what they never say."""

import http.client
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client

from agents.models import Run, Worker
from core import clock
from core.metrics.instruments import RECORDER, RUNS_CLAIMED
from observability.telemetry import metrics_page, telemetry_start, telemetry_stop
from observability.telemetry import page as page_module
from observability.telemetry.page import readings_forget
from tests.factories.agents import make_agent, make_approval, make_call, make_finished_run, make_run
from tests.factories.governance import make_workspace
from tests.services import free_port
from tests.waiting import wait_for

TOKEN = "a-token-of-the-sites-own"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    readings_forget()
    RECORDER.clear()
    yield
    RECORDER.clear()
    readings_forget()


def placed(run: Run, **fields: Any) -> Run:
    Run.objects.filter(pk=run.pk).update(**fields)
    return run


def scraped(**meta: str) -> tuple[int, str]:
    answer = Client().get("/metrics", **meta)  # type: ignore[arg-type]  # parts of a request
    return answer.status_code, answer.content.decode()


def line(name: str) -> list[str]:
    return [each for each in metrics_page().decode().splitlines() if each.startswith(name)]


def test_without_a_token_only_programs_of_the_machine_are_told(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = ""

    assert scraped(REMOTE_ADDR="127.0.0.1")[0] == 200
    assert scraped(REMOTE_ADDR="::1")[0] == 200
    assert scraped(REMOTE_ADDR="::ffff:127.0.0.1")[0] == 200
    for meta in (
        {"REMOTE_ADDR": "10.0.0.7"},
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "testclient"},
        # A proxy on the machine speaks for people elsewhere, whatever they say of themselves.
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "127.0.0.1"},
        # People have credentials, whatever machine they sit at; programs that scrape have none.
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_COOKIE": "sessionid=x"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": "Bearer agk_x"},
    ):
        status, text = scraped(**meta)
        assert status == 403, meta
        assert "AGENTRY_METRICS_TOKEN" in text
        assert "agentry_" not in text


def test_in_production_without_a_token_nobody_is_told(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.IS_PRODUCTION = "", True

    status, text = scraped(REMOTE_ADDR="127.0.0.1")

    assert status == 403
    assert "AGENTRY_METRICS_TOKEN" in text
    assert "agentry_" not in text


def test_with_a_token_only_who_has_it_is_told(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN

    assert scraped(REMOTE_ADDR="203.0.113.9", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")[0] == 200
    for given in ("", TOKEN, "Bearer ", f"Bearer {TOKEN}x", "Bearer é", f"Basic {TOKEN}"):
        status, text = scraped(REMOTE_ADDR="127.0.0.1", HTTP_AUTHORIZATION=given)
        assert status == 403, given
        assert "agentry_" not in text
        assert TOKEN not in text


def test_a_signed_in_superuser_has_no_right_to_them_by_that(
    db: None, settings: Any, admin_client: Client
) -> None:
    settings.METRICS_TOKEN = TOKEN

    assert admin_client.get("/metrics").status_code == 403


def test_the_database_says_what_runs_waits_and_is_asked(db: None) -> None:
    acme, other = make_workspace("acme"), make_workspace("other")
    make_agent(acme, "helper")
    now = clock.now()
    placed(make_run(acme), available_at=now - timedelta(seconds=40))
    placed(make_run(other), state="waiting", wait_kind="approval")
    parked = placed(make_run(acme), state="waiting", wait_kind="approval")
    make_finished_run(acme)
    make_approval(parked, make_call(parked))
    for name, silent, draining in (("a", 0, False), ("b", 5, True), ("c", 300, False)):
        Worker.objects.create(
            name=name, host="h", pid=1, capacity=7, is_draining=draining, started_at=now,
            seen_at=now - timedelta(seconds=silent),
        )  # fmt: skip

    assert line("agentry_runs{") == [
        'agentry_runs{state="paused",wait=""} 0.0',
        'agentry_runs{state="queued",wait=""} 1.0',
        'agentry_runs{state="running",wait=""} 0.0',
        *(
            f'agentry_runs{{state="waiting",wait="{kind}"}} {2.0 if kind == "approval" else 0.0}'
            for kind in sorted(
                ["", "approval", "budget", "children", "in_doubt", "question", "timer", "turn"]
            )
        ),
        'agentry_runs{state="yielded",wait=""} 0.0',
    ]
    [lag] = line("agentry_queue_lag_seconds ")
    assert 40 <= float(lag.split()[1]) < 60
    assert 'agentry_approvals_pending{kind="tool_call"} 1.0' in line("agentry_approvals_pending")
    assert line("agentry_workers{") == [
        'agentry_workers{state="draining"} 1.0', 'agentry_workers{state="serving"} 1.0',
    ]  # fmt: skip
    assert line("agentry_worker_capacity ") == ["agentry_worker_capacity 7.0"]
    assert 'agentry_agent_up{agent="helper"} 1.0' in line("agentry_agent_up")
    assert line("agentry_database_up ") == ["agentry_database_up 1.0"]


def test_no_tenant_no_person_and_no_run_is_named(db: None) -> None:
    acme = make_workspace("very-secret-tenant")
    run = make_run(acme, text="the very secret words")

    text = metrics_page().decode()

    for word in ("very-secret-tenant", "very secret words", str(run.pk), str(acme.pk), run.pk.hex):
        assert word not in text


def test_the_database_is_asked_once_for_many_scrapes(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def source() -> tuple[()]:
        asked.append(1)
        return ()

    monkeypatch.setattr(page_module, "_sources", [source])

    for _ in range(5):
        metrics_page()
    assert len(asked) == 1
    readings_forget()
    metrics_page()
    assert len(asked) == 2


def test_a_database_that_is_away_is_told_and_counts_are_told_anyway(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> Any:
        raise DatabaseError("connection refused by a host with a secret name")

    monkeypatch.setattr(page_module, "_sources", [away])
    RUNS_CLAIMED.add(3)

    assert line("agentry_database_up ") == ["agentry_database_up 0.0"]
    assert line("agentry_runs_claimed_total ") == ["agentry_runs_claimed_total 3.0"]
    assert line("agentry_runs{") == []
    assert "secret name" not in caplog.text


def test_a_machine_without_a_web_process_tells_them_at_an_address(
    transactional_db: None, settings: Any, tmp_path: Path
) -> None:
    port = free_port()
    settings.METRICS_DIR = tmp_path / "metrics"
    settings.METRICS_ADDRESS = f"127.0.0.1:{port}"
    settings.METRICS_TOKEN = TOKEN

    def asked(path: str, token: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    assert telemetry_start("worker") == "worker-0"
    try:
        assert telemetry_start("worker") == "worker-0"  # once
        RUNS_CLAIMED.add(2)
        wait_for(lambda: asked("/healthz")[0] == 200, lambda: asked("/healthz"))
        status, text = asked("/metrics", TOKEN)
        assert status == 200
        assert "\nagentry_runs_claimed_total 2.0\n" in text
        assert 'agentry_process_memory_bytes{process="worker-0"}' in text
        assert asked("/metrics") == (403, asked("/metrics", "wrong")[1])
        assert asked("/admin")[0] == 404
    finally:
        telemetry_stop()
    assert asked("/healthz") == (0, "")
    telemetry_stop()  # a second time is nothing
