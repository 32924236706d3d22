"""Health, version, the description page, and the carried-over addresses."""

import json
from typing import Any

import pytest
from django.test import Client

from agents.models import Run, Worker
from core import clock
from tests.factories.agents import make_agent, make_finished_run, make_run, make_session
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs


def test_health_needs_no_sign_in(db: None) -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}
    told = Client().get("/version").json()
    assert told["name"] == "agentry-cloud"
    assert told["version"]


def test_readiness_tells_each_part_with_its_reason(db: None) -> None:
    first = Client().get("/readyz")
    Worker.objects.create(
        name="w", host="h", pid=1, capacity=1, started_at=clock.now(), seen_at=clock.now()
    )
    second = Client().get("/readyz")
    Worker.objects.update(is_draining=True)
    third = Client().get("/readyz")

    checks = first.json()["checks"]
    assert set(checks) == {"database", "disk", "migrations", "redis", "workers"}
    assert checks["database"] == {"ok": True, "reason": ""}
    assert "No worker is alive" in checks["workers"]["reason"]
    assert second.json()["checks"]["workers"] == {"ok": True, "reason": ""}
    assert "All workers are drained" in third.json()["checks"]["workers"]["reason"]


def test_readiness_does_not_speak_for_a_redis_that_is_not_there(
    db: None, settings: Any, redis_url: str
) -> None:
    def told() -> Any:
        return Client().get("/readyz").json()["checks"]["redis"]

    settings.REDIS_URL = ""
    without = told()
    settings.REDIS_URL = redis_url
    answering = told()
    settings.REDIS_URL = "redis://127.0.0.1:1"
    silent = told()

    assert without == {
        "ok": True,
        "reason": "Not configured; a site of one process does without.",
    }
    assert answering == {"ok": True, "reason": ""}
    assert silent == {
        "ok": False,
        "reason": "Redis does not answer (ConnectionError). See whether it runs, and whether "
        "REDIS_URL names it.",
    }


def test_readiness_says_that_migrations_are_missing(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentry_site.api._migrations", lambda: "3 migration(s) are missing.")

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"]["reason"] == "3 migration(s) are missing."


def test_readiness_claims_nothing_it_could_not_look_at(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentry_site.api._database", lambda: "The database does not answer.")

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    told = {name: check["ok"] for name, check in answer.json()["checks"].items()}
    assert told == {
        "database": False, "disk": True, "migrations": False, "redis": True, "workers": False,
    }  # fmt: skip


def test_readiness_says_that_the_disk_is_full_or_shut(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> tuple[int, str]:
        answer = Client().get("/readyz")
        return answer.status_code, answer.json()["checks"]["disk"]["reason"]

    free = told()
    monkeypatch.setattr("agentry_site.api.LEAST_FREE_BYTES", 1 << 62)
    full = told()
    settings.DATA_DIR = settings.DATA_DIR / "gone"
    gone = told()

    assert free == (200, "")
    assert full[0] == 503
    assert full[1].endswith("MiB left. Make room, or shorten AGENTRY_SNAPSHOT_DAYS.")
    assert gone[0] == 503
    assert gone[1].startswith("The data folder cannot be read (No such file or directory).")


def test_the_description_is_a_page_under_a_policy_of_its_own(db: None) -> None:
    page = Client().get("/api/v1/docs")
    script = Client().get("/api/v1/docs?script=")

    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "script-src 'self';" in policy or policy.rstrip().endswith("script-src 'self'")
    assert b"<script>" not in page.content
    assert b"/static/drf_spectacular_sidecar/" in page.content
    assert b"/api/v1/openapi.json" in script.content
    described = json.loads(Client().get("/api/v1/openapi.json").content)
    assert described["openapi"].startswith("3.1")


def test_pages_may_connect_to_their_own_host_only(db: None) -> None:
    policy = Client().get("/admin/login/")["Content-Security-Policy"]

    assert "connect-src 'self'" in [part.strip() for part in policy.split(";")]


def test_an_unknown_address_is_a_problem(db: None) -> None:
    answer = Client().get("/api/v1/nothing")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_the_type_of_a_problem_leads_to_its_explanation(db: None) -> None:
    problem = Client().get("/api/v1/nothing").json()
    address, _, code = problem["type"].partition("#")

    page = Client().get(address, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    listed = Client().get(address, headers={"Accept": "application/json"})
    told = {entry["code"]: entry for entry in listed.json()["problems"]}

    assert page.status_code == listed.status_code == 200
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert f'<h2 id="{code}">' in page.content.decode()
    assert "Accept" in page["Vary"]
    assert b"<style" not in page.content
    assert told["not_found"] == {
        "type": "/docs/reference/problems#not_found",
        "code": "not_found",
        "status": 404,
        "meaning": "There is no such thing, or this actor may not see it.",
        "remedy": "Check the name and the workspace; list what there is.",
    }
    assert told["poison"]["run_state"] == "paused"
    assert "status" not in told["poison"]
    assert "`" not in page.content.decode()
    assert Client().post(address).status_code == 405


def test_an_agent_is_spawned_listed_and_killed_as_before(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    operator = call_as("operator", workspace=cast.acme)  # the token names the workspace

    spawned = operator("post", "/spawn", {"template": "helper"})
    agent_id = spawned.json()["agent_id"]
    make_run(cast.acme, session=agent_id)
    listed = operator("get", "/agents").json()
    killed = operator("post", "/kill", {"agent_id": agent_id})

    assert spawned.status_code == 200
    assert [(row["agent_id"], row["state"]) for row in listed] == [(agent_id, "queued")]
    assert killed.json() == {"ok": True}
    assert Run.objects.get().state == "cancelled"
    assert operator("post", "/kill", {"agent_id": agent_id}).json() == {"ok": True}


def test_invoke_answers_with_output_and_summary(
    cast: Cast, call_as: CallAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(cast.acme)
    operator = call_as("operator", workspace=cast.acme)

    def finish(run_id: Any, seconds: float) -> bool:
        Run.objects.filter(pk=run_id).update(state="succeeded", output="42", input_tokens=7)
        return True

    monkeypatch.setattr("agents.api.legacy.run_wait", finish)
    answer = operator("post", "/invoke", {"agent_id": str(session.pk), "input": "what?"})
    missing = operator("post", "/invoke", {"input": "what?"})
    unknown = operator("post", "/invoke", {"input": "what?", "agent": "x"})

    assert answer.json() == {"output": "42", "summary": {"tokens": 7, "cost": 0.0}}
    assert missing.status_code == 404
    assert "default" in missing.json()["detail"]
    assert unknown.status_code == 400
    assert Run.objects.get().surface == "legacy"


def test_traces_are_lines_of_the_earlier_format(cast: Cast, call_as: CallAs) -> None:
    run = make_finished_run(cast.acme)

    answer = call_as("auditor", workspace=cast.acme)("get", "/traces")

    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert {line["agent_id"] for line in lines} == {str(run.pk)}
    assert call_as("viewer", workspace=cast.acme)("get", "/traces").status_code == 403


def test_without_a_workspace_the_earlier_addresses_say_what_to_do(
    cast: Cast, call_as: CallAs
) -> None:
    refused = call_as("root")("get", "/agents")

    assert refused.status_code == 400
    assert "workspace" in refused.json()["detail"]
