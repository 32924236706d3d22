"""The page of workers and queues: who sees what, what waits and since when, and draining."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from celery.exceptions import AlwaysEagerIgnored
from django.test import override_settings
from django.urls import reverse

from agentry_site.celery import app
from agentry_site.console.workers import queues
from agentry_site.console.workers.broker import Broker, broker_now
from agents.models import Run, Worker
from core import clock
from core.ids import new_id
from governance.contracts import SYSTEM
from governance.models import AuditEntry, Delivery
from governance.services.deliveries import channel_test
from observability.models import Process
from sandbox.contracts import Crowd
from sandbox.errors import SandboxUnavailableError
from tests.factories.agents import make_channel, make_run
from tests.factories.governance import Cast, make_workspace
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

PAGE = "/admin/workers/"


class Sandboxes:
    """A sandbox worker as this process sees it."""

    def __init__(self, answer: Crowd | Exception | None) -> None:
        self._answer = answer

    async def crowd(self) -> Crowd | None:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture(autouse=True)
def _no_sandbox_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "sandboxes", lambda: Sandboxes(None))


def worker(**fields: Any) -> Worker:
    now = clock.now()
    values = {"name": "h1:7", "host": "h1", "pid": 7, "capacity": 9, "started_at": now}
    return Worker.objects.create(**{**values, "version": "1.0", "seen_at": now, **fields})


def shown(client: Any) -> dict[str, queues.Queue]:
    return {queue.title: queue for queue in client.get(PAGE).context["queues"]}


def queued(workspace: Any, *, for_seconds: int = 0, **fields: Any) -> Run:
    run = make_run(workspace)
    at = clock.now() - timedelta(seconds=for_seconds)
    Run.objects.filter(pk=run.pk).update(state="queued", available_at=at, **fields)
    return run


def test_the_queue_of_runs_says_how_many_and_since_when(cast: Cast, browse: Browser) -> None:
    queued(cast.acme)
    queued(cast.acme, for_seconds=600)
    queued(cast.acme, for_seconds=-600)  # due in ten minutes

    ready = shown(browse("operator"))["Runs ready"]

    assert (ready.depth, ready.is_late, ready.is_idle) == ("2", True, False)
    assert "10 min ago" in ready.since


def test_waits_are_told_apart_and_are_never_late(cast: Cast, browse: Browser) -> None:
    long_ago = clock.now() - timedelta(hours=1)
    for kind in ("approval", "approval", "budget"):
        run = make_run(cast.acme)
        Run.objects.filter(pk=run.pk).update(state="waiting", wait_kind=kind, updated_at=long_ago)

    found = shown(browse("viewer"))

    assert found["Runs waiting for an approval"].depth == "2"
    assert found["Runs waiting for money"].depth == "1"
    assert found["Runs waiting for others"].is_idle
    assert not any(queue.is_late for queue in found.values())
    assert "1 h ago" in found["Runs waiting for money"].since


def test_one_sees_what_waits_where_one_may_look_and_nothing_of_the_site(
    cast: Cast, browse: Browser
) -> None:
    worker(name="secret-host:7")
    queued(cast.acme)
    queued(make_workspace("elsewhere"))
    operator, root = browse("operator"), browse("root")

    assert shown(operator)["Runs ready"].depth == "1"
    assert shown(root)["Runs ready"].depth == "2"
    assert {"Celery", "Calls waiting for a sandbox"} & set(shown(operator)) == set()
    assert {"Celery", "Calls waiting for a sandbox"} <= set(shown(root))
    for address in (PAGE, f"{PAGE}live/"):
        assert "secret-host" not in operator.get(address).content.decode()
        assert "secret-host" in root.get(address).content.decode()
        assert browse("nobody").get(address).status_code == 403


def test_deliveries_are_due_or_are_tried_again_later(cast: Cast, browse: Browser) -> None:
    channel = make_channel(cast.acme, "ops")
    sent = [channel_test(SYSTEM, channel=channel) for _ in range(3)]
    now = clock.now()
    Delivery.objects.update(state="pending", due_at=now - timedelta(minutes=3))
    Delivery.objects.filter(pk=sent[0].pk).update(due_at=now + timedelta(minutes=3))

    found = shown(browse("operator"))["Deliveries to send"]

    assert (found.depth, found.is_late) == ("2", True)
    assert "1 are tried again later" in found.note


@pytest.mark.parametrize(
    ("answer", "depth", "words"),
    [
        (None, "0", "opened no sandbox yet"),
        (Crowd(at_most=4, taken=4, waiting=2, oldest_seconds=90.0), "2", "4 of 4 sandboxes"),
    ],
)
def test_calls_that_wait_for_a_sandbox_are_counted(
    cast: Cast,
    browse: Browser,
    monkeypatch: pytest.MonkeyPatch,
    answer: Crowd | None,
    depth: str,
    words: str,
) -> None:
    monkeypatch.setattr(queues, "sandboxes", lambda: Sandboxes(answer))

    found = shown(browse("root"))["Calls waiting for a sandbox"]

    assert found.depth == depth
    assert words in found.note
    assert found.is_late is (answer is not None)


def test_what_does_not_answer_is_a_line_that_says_so(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = SandboxUnavailableError("No sandbox worker answers at /x.")
    monkeypatch.setattr(queues, "sandboxes", lambda: Sandboxes(silent))
    monkeypatch.setattr(queues, "broker_now", lambda: Broker(problem="Redis does not answer."))
    queued(cast.acme)

    page = browse("root").get(PAGE)

    found = {queue.title: queue for queue in page.context["queues"]}
    assert found["Runs ready"].depth == "1"
    assert "No sandbox worker answers at /x." in page.content.decode()
    assert (found["Celery"].depth, found["Celery"].problem) == ("–", "Redis does not answer.")


def test_celerys_queues_are_read_from_redis(redis_url: str) -> None:
    with (
        override_settings(REDIS_URL=redis_url, CELERY_BROKER_URL=redis_url),
        redis.Redis.from_url(redis_url) as client,
    ):
        client.flushdb()
        with app.connection_for_write(redis_url) as connection:
            for _ in range(3):
                # Tests do their tasks at once; this goes to the broker all the same.
                with pytest.warns(AlwaysEagerIgnored):
                    app.send_task("agents.pump", connection=connection)
        client.hset("unacked", "tag", "x")
        assert broker_now() == Broker(waiting=(("celery", 3),), taken=1)
        client.flushdb()


def test_a_broker_that_is_not_there_is_told_and_none_is_none() -> None:
    gone = "redis://127.0.0.1:1/0"
    with override_settings(REDIS_URL=gone, CELERY_BROKER_URL=gone):
        found = broker_now()
    assert found is not None
    assert found.problem == "Redis does not answer (ConnectionError)."
    assert broker_now() is None


def test_a_worker_is_told_with_what_it_holds_and_how_late_its_loop_is(
    cast: Cast, browse: Browser
) -> None:
    busy = worker(ended_lately=35)
    worker(name="h2:8", host="h2", pid=8, seen_at=clock.now() - timedelta(minutes=3))
    now = clock.now()
    Process.objects.create(
        kind="worker", host="h1", pid=7, started_at=now, seen_at=now, lag_p99_seconds=0.25
    )
    for _ in range(2):
        run = make_run(cast.acme)
        Run.objects.filter(pk=run.pk).update(state="running", worker_id=busy.pk)

    page = browse("root").get(PAGE)

    first, second = page.context["workers"]
    assert (first.held, first.capacity, first.ended) == (2, 9, 35)
    assert (first.lag, first.is_late, first.may_drain) == ("250.0 ms", True, True)
    assert (second.stands, second.lag, second.may_drain) == ("silent", "–", False)
    figures = {figure.key: (figure.value, figure.note) for figure in page.context["figures"]}
    assert figures["held"] == ("2", "runs in workers; room for 9")
    assert figures["ended"] == ("35", "runs in 5 minutes, 7.0 a minute")
    assert figures["workers"] == ("1", "take runs")


def test_without_workers_the_page_teaches_how_to_start_one(cast: Cast, browse: Browser) -> None:
    assert "python manage.py worker" in browse("root").get(PAGE).content.decode()
    told = browse("operator").get(PAGE).content.decode()
    assert "No worker is alive" in told
    assert "manage.py" not in told


def test_a_drain_is_asked_about_done_and_undone(cast: Cast, browse: Browser) -> None:
    row = worker()
    root = browse("root")
    drain, undrain = (
        reverse(f"admin:workers_{deed}", args=[row.pk]) for deed in ("drain", "undrain")
    )

    asked = root.get(drain).content.decode()
    row.refresh_from_db()
    assert "No other worker takes runs." in asked
    assert row.drain_asked_at is None

    done = root.post(drain, follow=True)
    row.refresh_from_db()
    assert "h1:7 is asked to drain" in done.content.decode()
    tile = next(each for each in done.context["figures"] if each.key == "workers")
    assert (tile.value, tile.tone, tile.is_urgent) == ("0", "red", True)
    assert (row.drain_asked_by, done.context["workers"][0].may_undrain) == ("root", True)
    history = root.get(reverse("admin:agents_worker_history", args=[row.pk])).content.decode()
    assert "drain" in history

    assert root.get(undrain).status_code == 405
    root.post(undrain)
    row.refresh_from_db()
    assert row.drain_asked_at is None
    assert AuditEntry.objects.filter(action="worker_changed", workspace=None).count() == 2


def test_the_overview_says_when_nobody_takes_runs(cast: Cast, browse: Browser) -> None:
    row = worker(running=3)

    def tile() -> Any:
        figures = browse("root").get("/admin/").context["overview"].figures
        return next(each for each in figures if each.key == "workers")

    assert (tile().tone, tile().note, tile().is_urgent) == ("green", "driving 3 runs", False)
    Worker.objects.filter(pk=row.pk).update(is_draining=True)
    assert (tile().tone, tile().is_urgent) == ("red", True)
    assert tile().note == "driving 3 runs, 1 draining or drained"


def test_a_second_worker_that_serves_takes_the_warning_away(cast: Cast, browse: Browser) -> None:
    row = worker()
    worker(name="h2:8", host="h2", pid=8)

    page = browse("root").get(reverse("admin:workers_drain", args=[row.pk]))

    assert "No other worker takes runs." not in page.content.decode()


def test_a_worker_that_stopped_meanwhile_is_told(cast: Cast, browse: Browser) -> None:
    drain, undrain = (
        reverse(f"admin:workers_{deed}", args=[new_id()]) for deed in ("drain", "undrain")
    )

    for answer in (
        browse("root").get(drain, follow=True),
        browse("root").post(undrain, follow=True),
    ):
        assert "There is no such worker; it has stopped." in answer.content.decode()


@pytest.mark.parametrize("who", ["admin", "operator", "viewer", "nobody"])
def test_nobody_but_a_superuser_drains(cast: Cast, browse: Browser, who: str) -> None:
    row = worker()

    for deed in ("drain", "undrain"):
        address = reverse(f"admin:workers_{deed}", args=[row.pk])
        assert browse(who).get(address).status_code == 403
        assert browse(who).post(address).status_code == 403

    row.refresh_from_db()
    assert row.drain_asked_at is None
    assert not AuditEntry.objects.filter(action="worker_changed").exists()
