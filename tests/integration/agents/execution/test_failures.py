"""News of failures: the first of an agent for a reason is told, the flood behind it is not."""

from datetime import timedelta
from typing import Any

import pytest

from agents.execution.failures import BUCKET_SECONDS, failures_tell
from agents.models import Run
from core import clock
from governance.models import Channel, Delivery, User
from governance.services.letters import letters_set
from tests.factories.agents import make_run
from tests.factories.governance import join, make_workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Any:
    return make_workspace("acme")


def failed(acme: Any, agent: str = "helper", code: str = "poison", **fields: Any) -> Run:
    run = make_run(acme, agent)
    at = fields.pop("at", clock.now())
    Run.objects.filter(pk=run.pk).update(
        state="failed", error_code=code, reason="its own secret words", finished_at=at, **fields
    )
    return run


def hook(acme: Any, *events: str) -> Channel:
    return Channel.objects.create(
        workspace=acme, name="ops", kind="webhook", url="http://x.test/", events=list(events)
    )


def test_a_flood_is_one_message_a_reason(acme: Any) -> None:
    hook(acme, "run.failed")
    at = clock.now()
    first = failed(acme, at=at)
    for _ in range(30):
        failed(acme, at=at)
    failed(acme, code="deadline_exceeded", at=at)
    failed(acme, agent="other", at=at)

    assert failures_tell() == 3
    assert failures_tell() == 0
    told = Delivery.objects.get(event_key__startswith="run.failed:helper:poison")
    assert told.payload["run"] == str(first.pk)
    assert told.payload["code"] == "poison"


def test_what_a_run_says_is_not_told(acme: Any) -> None:
    hook(acme, "run.failed")
    failed(acme)
    failures_tell()

    assert "secret words" not in str(Delivery.objects.get().payload)


def test_the_next_flood_is_told_again(acme: Any) -> None:
    hook(acme, "run.failed")
    now = clock.now()
    failed(acme, at=now)
    failed(acme, at=now - timedelta(seconds=BUCKET_SECONDS))

    assert failures_tell() == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "succeeded"},
        {"state": "cancelled"},
        {"depth": 1},
        {"finished_at": clock.now() - timedelta(hours=2)},
    ],
)
def test_what_is_no_news_is_not_told(acme: Any, fields: dict[str, Any]) -> None:
    hook(acme, "run.failed")
    run = failed(acme)
    Run.objects.filter(pk=run.pk).update(**fields)

    assert failures_tell() == 0


def test_a_channel_that_does_not_want_it_is_left_alone(acme: Any) -> None:
    hook(acme, "approval.asked")
    failed(acme)

    assert failures_tell() == 0


def test_letters_go_to_who_wished_and_may_act(acme: Any, django_user_model: type[User]) -> None:
    from governance.access import actor_of_user

    for name, role in (("olga", "operator"), ("vic", "viewer"), ("una", "operator")):
        user = join(acme, name, role).user
        User.objects.filter(pk=user.pk).update(email=f"{name}@acme.example")
        user.refresh_from_db()
        if name != "una":
            letters_set(actor_of_user(user), workspace=acme, events=["run.failed"])
    failed(acme)

    assert failures_tell() == 1
    assert Delivery.objects.get().recipient == "olga@acme.example"


def test_failures_of_elsewhere_are_not_told_here(acme: Any) -> None:
    hook(acme, "run.failed")
    failed(make_workspace("other"))

    assert failures_tell() == 0
