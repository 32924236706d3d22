"""Draining over REST: for who runs the site, and the same twice as once."""

from typing import Any

import pytest

from agents.models import Worker
from core import clock
from core.ids import new_id
from governance.models import AuditEntry
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs

pytestmark = pytest.mark.django_db


def worker(**fields: Any) -> Worker:
    now = clock.now()
    values = {"name": "h1:7", "host": "h1", "pid": 7, "capacity": 9, "started_at": now}
    return Worker.objects.create(**{**values, "seen_at": now, **fields})


def drain(row: Any) -> str:
    return f"/api/v1/workers/{getattr(row, 'pk', row)}/drain"


def test_a_worker_is_drained_twice_as_once_and_put_to_work_again(
    cast: Cast, call_as: CallAs
) -> None:
    row = worker()
    root = call_as("root")

    answers = [root("post", drain(row), {}) for _ in range(2)]
    listed = root("get", "workers").json()["items"]
    undone = root("delete", drain(row))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["state"] == "asked"
    assert (listed[0]["id"], listed[0]["state"]) == (str(row.pk), "asked")
    assert (undone.status_code, undone.json()["state"]) == (200, "serving")
    assert undone.json()["drain_asked_at"] is None
    assert AuditEntry.objects.filter(action="worker_changed").count() == 2


def test_one_that_is_not_there_or_not_heard_of_is_refused(cast: Cast, call_as: CallAs) -> None:
    silent = worker(seen_at=clock.now().replace(year=2020))
    root = call_as("root")

    assert root("post", drain(new_id()), {}).status_code == 404
    assert root("delete", drain(new_id())).status_code == 404
    refused = root("post", drain(silent), {})

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "there is nothing to drain" in refused.json()["remedy"]


@pytest.mark.parametrize("who", ["admin", "operator", "viewer"])
def test_nobody_of_a_workspace_drains(cast: Cast, call_as: CallAs, who: str) -> None:
    row = worker()
    caller = call_as(who)

    assert caller("post", drain(row), {}).status_code == 403
    assert caller("delete", drain(row)).status_code == 403

    row.refresh_from_db()
    assert row.drain_asked_at is None


def test_a_token_that_is_less_than_its_owner_does_not_drain(cast: Cast, call_as: CallAs) -> None:
    row = worker()

    answer = call_as("root", workspace=cast.acme)("post", drain(row), {})

    assert answer.status_code == 403
    row.refresh_from_db()
    assert row.drain_asked_at is None
