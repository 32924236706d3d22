"""A database that goes away and comes back under web and worker processes of the real kind.

The other chaos tests fork their workers, and what forks has no connection pool. Here the pool is
as an operator has it, and what is asked is whether each process finds its database again.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from core.ids import new_id
from tests.chaos.cluster import Cluster
from tests.chaos.processes import Operated, operated_environment
from tests.services import PostgresServer, free_port
from tests.waiting import wait_for

WORKSPACE = "/api/v1/workspaces/chaos"
RUNS = 5  # of each agent
# More than the web process works on at once: some wait in line for those that wait for a database.
CROWD = 50
# Longer is no answer: whoever asks has hung up.
ANSWER_SECONDS = 30.0


@dataclass(slots=True, kw_only=True)
class Site:
    """One web and two worker processes on the cluster's servers."""

    cluster: Cluster
    web: Operated
    workers: tuple[Operated, Operated]
    http: httpx2.Client

    @property
    def processes(self) -> tuple[Operated, ...]:
        return (self.web, *self.workers)

    def readiness(self) -> tuple[int, dict[str, Any]]:
        answer = self.http.get("/readyz")
        return answer.status_code, answer.json()["checks"]

    def is_ready(self) -> bool:
        try:
            status, checks = self.readiness()
        except httpx2.TransportError:
            return False
        return status == 200 and all(check["ok"] for check in checks.values())

    def invoke(self, agent: str, text: str, key: str = "") -> httpx2.Response:
        """Start a run by the lean lane."""
        headers = {"Idempotency-Key": key} if key else {}
        path = f"{WORKSPACE}/agents/{agent}/invoke"
        return self.http.post(path, json={"input": text}, headers=headers)

    def post_run(self, agent: str, text: str, key: str = "") -> httpx2.Response:
        """Start a run by the way through Django."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"agent": agent, "input": text}
        return self.http.post(f"{WORKSPACE}/runs", json=body, headers=headers)

    def last_words(self) -> str:
        return "\n".join(process.last_words() for process in self.processes)


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    environment = operated_environment(cluster)
    port = free_port()

    def begin(name: str, *command: str) -> Operated:
        return Operated(*command, environment=environment, log=tmp_path / f"{name}.log")

    web = begin("web", "serve", f"--port={port}")
    first, second = (
        begin(name, "worker", f"--name={name}", "--loglevel=WARNING")
        for name in ("worker-1", "worker-2")
    )
    token = cluster.desk.call("scenario:token")
    with httpx2.Client(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=ANSWER_SECONDS,
        limits=httpx2.Limits(max_connections=2 * CROWD),
    ) as http:
        site = Site(cluster=cluster, web=web, workers=(first, second), http=http)
        try:
            wait_for(
                lambda: (
                    {first.pid, second.pid} <= set(cluster.desk.call("scenario:workers"))
                    and site.is_ready()
                ),
                lambda: f"the site does not come up: {site.last_words()}",
            )
            yield site
        finally:
            for process in site.processes:
                process.end()


def _is_told_to_come_back(answer: httpx2.Response) -> bool:
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == "application/problem+json"
        and answer.headers["retry-after"] == "2"
        and answer.json()["code"] == "unavailable"
    )


def _asked_of_a_site_without_a_database(site: Site, run: str, key: str) -> dict[str, Any]:
    """Ask everything at once; returns the answers by what was asked."""
    asked = {
        "alive": lambda: site.http.get("/healthz"),
        "ready": lambda: site.http.get("/readyz"),
        "page": lambda: site.http.get("/admin/", headers={"Cookie": f"sessionid={'a' * 32}"}),
        "run": lambda: site.http.get(f"{WORKSPACE}/runs/{run}"),
        "why": lambda: site.http.get(f"{WORKSPACE}/runs/{run}/why"),
        "cancel": lambda: site.http.post(f"{WORKSPACE}/runs/{run}/cancel", json={}),
        "stream": lambda: site.http.get(f"{WORKSPACE}/runs/{run}/events/stream"),
        "earlier address": lambda: site.http.get("/agents"),
        "invoke": lambda: site.invoke("slow", "plain"),
        "invoke with a key": lambda: site.invoke("slow", "lane", f"{key}-lane"),
        "post": lambda: site.post_run("slow", "django", f"{key}-django"),
        **{f"list {n}": lambda: site.http.get(f"{WORKSPACE}/runs") for n in range(CROWD)},
    }
    with ThreadPoolExecutor(len(asked)) as askers:
        answers = {name: askers.submit(ask) for name, ask in asked.items()}
        return {name: answer.result() for name, answer in answers.items()}


@pytest.mark.timeout(240)
def test_the_same_processes_find_their_database_again(
    site: Site, postgres_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster, key = site.cluster, new_id().hex
    started = [site.invoke("slow", f"lane {n}") for n in range(RUNS)]
    started += [site.post_run("crew", f"django {n}") for n in range(RUNS)]
    roots = [answer.raise_for_status().json()["id"] for answer in started]
    wait_for(
        lambda: cluster.desk.call("verdict:progress", roots=roots)["settled_calls"] >= len(roots),
        lambda: f"nothing began: {site.last_words()}",
    )
    # The lane knows everything but whether its next commit succeeds.
    roots.append(site.invoke("slow", "last").raise_for_status().json()["id"])
    assert not cluster.desk.call("verdict:settled", roots=roots)["is_settled"]

    postgres_server.kill()
    answers = _asked_of_a_site_without_a_database(site, roots[0], key)
    postgres_server.start()
    seconds = wait_for(site.is_ready, lambda: f"{site.readiness()} {site.last_words()}")

    assert answers.pop("alive").json() == {"status": "ok"}
    ready = answers.pop("ready")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (
        503,
        {
            "ok": False,
            "reason": "The database does not answer (OperationalError). See whether it runs, and "
            "whether DATABASE_URL names it.",
        },
    )
    page = answers.pop("page")
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert [
        (name, answer.status_code, answer.text)
        for name, answer in answers.items()
        if not _is_told_to_come_back(answer)
    ] == []

    again = [
        site.invoke("slow", "lane", f"{key}-lane"),
        site.post_run("slow", "django", f"{key}-django"),
    ]
    roots += [answer.raise_for_status().json()["id"] for answer in again]
    cluster.settle(roots)
    cluster.desk.call(
        "verdict:resolve", roots=roots, record=str(cluster.server.record), retries=False
    )
    seen = cluster.settle(roots)
    cluster.check(roots)
    # No request that was answered 503 has left a run beside the one its repetition got.
    assert set(site.cluster.desk.call("scenario:started", since=roots[0])) == set(roots)
    with capsys.disabled():
        print(f"\noutage: ready {seconds:.2f} s after the database, {seen['crashes']} crashes")  # noqa: T201
    assert [process.is_alive for process in site.processes] == [True, True, True]
    assert [worker.leave() for worker in site.workers] == [0, 0]
