"""Errors by cause, and the overview that stays true while it is looked at."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from agentry_site.console.causes import BARS, Cause, normalised, trend
from agents.models import Run, Worker
from core import clock
from governance.contracts import SYSTEM
from governance.models import Channel, Delivery
from governance.services.deliveries import channel_test
from plugins.contracts import CallState
from tests.factories.agents import (
    make_approval,
    make_budget,
    make_call,
    make_channel,
    make_run,
)
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

PAGE = "/admin/errors/"
ID = "018f0000-0000-7000-8000-00000000000a"


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    cache.clear()


def failed(cast: Cast, reason: str, *, code: str = "poison", **fields: Any) -> Run:
    run = make_run(fields.pop("workspace", cast.acme), fields.pop("agent", "helper"))
    state = fields.pop("state", "failed")
    Run.objects.filter(pk=run.pk).update(
        state=state, error_code=code, reason=reason, updated_at=clock.now(), **fields
    )
    return run


def shown(client: Client, query: str = "") -> list[Cause]:
    answer = client.get(f"{PAGE}?{query}")
    assert answer.status_code == 200
    return list(answer.context["causes"])


@pytest.mark.parametrize(
    ("words", "alike"),
    [
        ("Answered 503 after 2.5 s.", "Answered # after # s."),
        (f"Run {ID} died\n  twice", "Run … died twice"),
        ("Request deadbeef01 failed", "Request … failed"),
        ("The defaced facade", "The defaced facade"),
        ("x" * 500, "x" * 180),
    ],
)
def test_words_are_alike_but_for_what_differs_each_time(words: str, alike: str) -> None:
    assert normalised(words) == alike


def test_a_trend_counts_each_part_of_the_time() -> None:
    now = clock.now()
    since = now - timedelta(hours=24)
    moments = [now, now - timedelta(minutes=1), since, since - timedelta(days=1)]

    bars = trend(moments, since=since, now=now)

    assert len(bars) == BARS
    assert [bar.title.split(" ")[0] for bar in bars] == ["1", *["0"] * 22, "2"]
    assert (bars[0].height, bars[1].height, bars[-1].height) == (11, 1, 22)


def test_failures_are_put_together_by_cause(cast: Cast, browse: Browser) -> None:
    failed(cast, "Answered 500 after 3 s.")
    failed(cast, "Answered 503 after 12 s.", agent="second")
    last = failed(cast, "Answered 500 after 1 s.", agent="second")
    failed(cast, "Nothing was said.", code="empty_answer")
    failed(cast, "elsewhere", workspace=cast.other)

    first, second = shown(browse("operator"))

    assert (first.count, first.code, first.text) == (3, "poison", "Answered # after # s.")
    assert first.subjects == (("second", 2), ("helper", 1))
    assert first.newest_url == f"/admin/agents/run/{last.pk}/change/"
    assert first.list_url == "/admin/agents/run/?error=poison&within=24h"
    assert (second.count, second.code) == (1, "empty_answer")
    listed = browse("operator").get(first.list_url).context["cl"].result_list
    assert len(listed) == 3


def test_words_are_hidden_from_who_may_not_read_them(cast: Cast, browse: Browser) -> None:
    run = failed(cast, "the wording of it")
    make_call(run, state=CallState.FAILED)

    for address in (PAGE, "/admin/", "/admin/live/"):
        page = browse("viewer").get(address).content.decode()
        assert "poison" in page, address
        assert "the wording of it" not in page, address
        assert "pineapple" not in page, address
    assert "the wording of it" in browse("operator").get(PAGE).content.decode()
    assert "It was sent: pineapple." in browse("operator").get(PAGE).content.decode()
    assert browse("nobody").get(PAGE).status_code == 403


def test_a_time_is_kept_to(cast: Cast, browse: Browser) -> None:
    failed(cast, "lately")
    old = failed(cast, "long ago")
    Run.objects.filter(pk=old.pk).update(updated_at=clock.now() - timedelta(days=3))
    operator = browse("operator")

    assert [cause.text for cause in shown(operator)] == ["lately"]
    assert len(shown(operator, "within=7d")) == 2
    assert operator.get(f"{PAGE}?within=ever").status_code == 400
    assert operator.get(f"{PAGE}?source=weather").status_code == 400


def test_calls_deliveries_and_workers_have_causes_too(cast: Cast, browse: Browser) -> None:
    call = make_call(make_run(cast.acme), state=CallState.FAILED)
    delivery = channel_test(SYSTEM, channel=make_channel(cast.acme, "ops"))
    Delivery.objects.filter(pk=delivery.pk).update(state="failed", last_error="410 Gone")
    now = clock.now()
    silent = Worker.objects.create(
        name="w1", host="h", pid=1, capacity=4, started_at=now,
        seen_at=now - timedelta(minutes=5),
    )  # fmt: skip

    found = {cause.source: cause for cause in shown(browse("root"))}
    assert set(found) == {"call", "delivery", "worker"}
    assert found["call"].newest_url == f"/admin/plugins/toolcall/{call.pk}/change/"
    assert (found["delivery"].text, found["delivery"].subjects) == ("# Gone", (("ops", 1),))
    assert found["worker"].newest_url == f"/admin/agents/worker/{silent.pk}/change/"
    assert {cause.source for cause in shown(browse("operator"))} == {"call", "delivery"}
    assert [cause.source for cause in shown(browse("root"), "source=call")] == ["call"]


def test_letters_of_others_are_no_errors_of_ones_own(cast: Cast, browse: Browser) -> None:
    """They have a page of their own, and tell an address."""
    channel = make_channel(cast.acme, "letters")
    delivery = channel_test(SYSTEM, channel=channel)
    Delivery.objects.filter(pk=delivery.pk).update(
        state="failed", last_error="No mailbox of root@acme.example"
    )
    Channel.objects.filter(pk=channel.pk).update(owner=cast.users["root"])

    assert shown(browse("operator")) == []
    (own,) = shown(browse("root"))
    assert own.newest_url == f"/admin/governance/delivery/{delivery.pk}/change/"


def test_a_tools_error_that_the_model_dealt_with_is_told_apart(cast: Cast, browse: Browser) -> None:
    for state in ("succeeded", "failed", "running"):
        run = make_run(cast.acme)
        Run.objects.filter(pk=run.pk).update(state=state)
        make_call(run, state=CallState.FAILED)
    operator = browse("operator")

    assert [(cause.source, cause.count) for cause in shown(operator)] == [("call", 2)]
    assert [(cause.source, cause.count) for cause in shown(operator, "source=handled")] == [
        ("handled", 1)
    ]
    told = operator.get(f"{PAGE}?source=handled").content.decode()
    assert '<span class="cause-source">dealt with</span>' in told
    assert "described badly" in told
    assert "described badly" not in operator.get(PAGE).content.decode()
    home = operator.get("/admin/").context["overview"].causes
    assert [(cause.source, cause.count) for cause in home] == [("call", 2)]
    tabs = {tab.value: tab.count for tab in operator.get(PAGE).context["sources"]}
    assert (tabs["call"], tabs["handled"]) == (2, 1)


def test_what_stopped_at_a_limit_is_resumed_together(cast: Cast, browse: Browser) -> None:
    failed(cast, "It reached its limit.", code="max_iterations", state="yielded")
    failed(cast, "It broke.")

    limit = next(cause for cause in shown(browse("operator")) if cause.code == "max_iterations")

    asked = browse("operator").get(limit.resume_url).context["asked"]
    assert asked["total"] == 1
    assert limit.resume_url.replace("&", "&amp;") in browse("operator").get(PAGE).content.decode()
    assert "Resume all" not in browse("viewer").get(PAGE).content.decode()


def test_without_errors_the_page_says_what_it_is_for(cast: Cast, browse: Browser) -> None:
    make_run(cast.acme)

    page = browse("operator").get(PAGE).content.decode()

    assert "Nothing went wrong in the last 24 hours" in page


# --- the overview -------------------------------------------------------------------------------


def figures(client: Client) -> dict[str, Any]:
    overview = client.get("/admin/live/").context["overview"]
    return {figure.key: figure for figure in overview.figures}


def test_the_overview_tells_how_long_the_queue_waits(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    operator = browse("operator")
    assert not figures(operator)["queued"].is_urgent

    Run.objects.filter(pk=run.pk).update(available_at=clock.now() - timedelta(minutes=7))

    queued = figures(operator)["queued"]
    assert (queued.value, queued.note, queued.is_urgent) == (
        "1",
        "the oldest ready 7 min ago",
        True,
    )


def test_the_overview_tells_of_questions_that_expire(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    now = clock.now()
    make_approval(
        run, make_call(run), created_at=now - timedelta(hours=2),
        expires_at=now + timedelta(minutes=30, seconds=30),
    )  # fmt: skip

    approvals = figures(browse("operator"))["approvals"]

    assert approvals.value == "1"
    assert approvals.note == "the oldest asked 2 h ago, one expires in 30 min"
    assert approvals.is_urgent


def test_the_overview_counts_failures_of_a_day(cast: Cast, browse: Browser) -> None:
    failed(cast, "lately")

    found = figures(browse("operator"))["failed"]

    assert (found.value, found.url) == ("1", "/admin/agents/run/?state=failed&within=24h")


def test_the_overview_tells_what_todays_runs_cost(cast: Cast, browse: Browser) -> None:
    for usd, is_partial in (("1.25", False), ("0.50", True)):
        run = make_run(cast.acme)
        Run.objects.filter(pk=run.pk).update(cost_usd=Decimal(usd), cost_is_partial=is_partial)
    Run.objects.filter(pk=make_run(cast.other).pk).update(cost_usd=Decimal(9))

    spent = figures(browse("operator"))["spent"]

    assert (spent.value, spent.note) == ("$1.75", "at least, by runs begun today, UTC")


def test_the_overview_compares_with_the_budgets_of_a_day(cast: Cast, browse: Browser) -> None:
    Run.objects.filter(pk=make_run(cast.acme).pk).update(cost_usd=Decimal(3))
    make_budget(cast.acme, "daily", period="day", limit_usd=Decimal(2))
    make_budget(cast.acme, "off", period="day", limit_usd=Decimal(70), is_enabled=False)
    make_budget(cast.acme, "monthly", period="month", limit_usd=Decimal(50))
    make_budget(cast.other, "foreign", period="day", limit_usd=Decimal(7))

    spent = figures(browse("operator"))["spent"]

    assert (spent.note, spent.tone, spent.is_urgent) == ("of $2.00 a day", "red", True)
    assert spent.url == "/admin/cost/"


def test_the_overview_compares_each_workspace_with_its_own_budget(
    cast: Cast, browse: Browser
) -> None:
    """What is spent where nothing bounds it is no excess of a budget elsewhere."""
    Run.objects.filter(pk=make_run(cast.other).pk).update(cost_usd=Decimal(9))
    make_budget(cast.acme, "daily", period="day", limit_usd=Decimal(2))
    make_budget(cast.acme, "wider", period="day", limit_usd=Decimal(70))

    spent = figures(browse("root"))["spent"]

    assert (spent.value, spent.is_urgent) == ("$9.00", False)
    assert spent.note == "by runs begun today, UTC"
    make_budget(cast.other, "theirs", period="day", limit_usd=Decimal(8))
    cache.clear()
    over = figures(browse("root"))["spent"]
    assert (over.note, over.tone, over.is_urgent) == ("of $10.00 a day", "red", True)


def test_the_overview_leaves_out_what_one_may_not_see(cast: Cast, browse: Browser) -> None:
    failed(cast, "lately")

    answer = browse("nobody").get("/admin/live/")

    assert answer.context["overview"].figures == ()
    assert answer.context["overview"].causes == ()
    assert "no-store" in answer["Cache-Control"]
    assert Client().get("/admin/live/").status_code == 302
