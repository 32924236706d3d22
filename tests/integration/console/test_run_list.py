"""The list of runs: what filters find, who finds what, files of it, and deeds for all of it."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from agents.admin import run_bulk
from agents.models import Run, SavedFilter
from agents.selectors import run_finding
from core import clock
from core.ids import first_id_at, new_id
from tests.factories.agents import make_run, make_saved_filter
from tests.factories.governance import Cast, join
from tests.integration.console.conftest import Browser

pytestmark = pytest.mark.django_db

LIST = "/admin/agents/run/"


def made(cast: Cast, agent: str = "helper", text: str = "do it", **fields: Any) -> Run:
    """Make a run as it may stand in the table."""
    run = make_run(cast.acme, agent, text=text)
    if fields.get("state") in {"succeeded", "failed", "cancelled"}:
        fields.setdefault("finished_at", clock.now())
    Run.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
    return run


def found(client: Client, query: str) -> list[Run]:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 200, query
    return list(answer.context["cl"].result_list)


def streamed(client: Client, query: str) -> str:
    answer: Any = client.get(f"{LIST}export/?{query}")
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def test_each_filter_finds_what_it_says(cast: Cast, browse: Browser) -> None:
    operator = browse("operator")
    other = made(cast, "second", "count the sheep", state="succeeded", cost_usd=Decimal("0.02"))
    failed = made(
        cast,
        "helper",
        "Send /srv/data/report.csv to the board",
        state="failed",
        error_code="deadline_exceeded",
        cost_usd=Decimal("2.5"),
        surface="legacy",
        requested_by=cast.users["operator"],
    )
    live = made(cast, "helper", "wait", state="running", cost_usd=Decimal(3))

    for query, expected in {
        "": [live, failed, other],
        "state=failed": [failed],
        "state=failed&state=running": [live, failed],
        "state__exact=failed": [failed],
        "agent=second": [other],
        f"agent__id__exact={other.agent_id}": [other],
        "workspace=acme": [live, failed, other],
        "workspace=other": [],
        "user=operator": [failed],
        "user=nobody-at-all": [],
        "cost_min=2": [live, failed],
        "cost_max=0.02": [other],
        "cost_min=2&cost_max=2.6": [failed],
        "within=1h": [live, failed, other],
        "since=2000-01-01T00:00&until=2001-01-01T00:00": [],
        "error=deadline_exceeded": [failed],
        "surface=legacy": [failed],
        "q=sheep": [other],
        "q=REPORT+boa": [failed],
        "q=sheep+board": [],
        "q=second": [other],
        f"q={failed.pk}": [failed],
        f"q={str(failed.pk).replace('-', '')[:20]}": [failed],
        "sort=oldest": [other, failed, live],
        "sort=costliest": [failed, other],
        "sort=cheapest": [other, failed],
    }.items():
        assert found(operator, query) == expected, query


def test_a_time_is_the_one_at_which_a_run_was_made(cast: Cast, browse: Browser) -> None:
    yesterday = clock.now() - timedelta(days=1)
    run = made(cast)
    Run.objects.filter(pk=run.pk).update(id=first_id_at(yesterday.timestamp()))

    assert found(browse("operator"), "within=1h") == []
    assert len(found(browse("operator"), "within=7d")) == 1
    day = f"since={yesterday:%Y-%m-%dT00:00}&until={clock.now():%Y-%m-%dT%H:%M}"
    assert len(found(browse("operator"), day)) == 1


def test_what_means_nothing_is_named_and_left_out(cast: Cast, browse: Browser) -> None:
    run = made(cast)

    page = browse("operator").get(f"{LIST}?cost_min=much&sort=size&since=soon&colour=red")

    text = page.content.decode()
    assert list(page.context["cl"].result_list) == [run]
    assert "&#x27;much&#x27; is no amount of dollars; it was left out." in text
    assert "&#x27;size&#x27; is none of newest, oldest, costliest, cheapest" in text
    assert "&#x27;soon&#x27; is no moment such as 2026-11-22T14:30" in text
    assert "There is no filter &#x27;colour&#x27;; it was left out." in text


def test_words_are_not_searched_where_they_may_not_be_read(cast: Cast, browse: Browser) -> None:
    run = made(cast, text="the merger with initech", state="succeeded")

    page = browse("viewer").get(f"{LIST}?q=initech")

    assert list(page.context["cl"].result_list) == []
    assert "searched: reading them takes the permission run.payload" in page.content.decode()
    assert found(browse("operator"), "q=initech") == [run]


def test_words_of_a_workspace_that_hides_them_stay_unfound(cast: Cast, browse: Browser) -> None:
    operator = browse("operator")
    join(cast.other, "operator", "viewer")
    run = make_run(cast.other, text="the merger with initech")

    assert found(operator, "q=initech") == []
    assert found(operator, "workspace=other") == [run]


@pytest.mark.parametrize("sort", ["newest", "oldest", "costliest", "cheapest"])
def test_pages_follow_one_another_without_a_gap(
    cast: Cast, browse: Browser, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_finding.runs_page, "__kwdefaults__", {"after": "", "size": 2})
    for number in range(5):
        made(cast, text=f"run {number}", state="succeeded", cost_usd=Decimal(number % 2))
    operator = browse("operator")

    whole = list(run_finding.in_order(Run.objects.all(), sort))
    seen, url = [], f"{LIST}?sort={sort}"
    while url:
        page = operator.get(url).context["cl"]
        seen += page.result_list
        rows = operator.get(page.first.here_url).content.decode()
        assert [str(run.pk) in rows for run in page.result_list] == [True] * len(page.result_list)
        url = page.first.next_page_url

    assert seen == whole
    assert len(seen) == 5


def test_a_place_that_is_none_is_refused(cast: Cast, browse: Browser) -> None:
    made(cast)
    operator = browse("operator")

    for after in ("nowhere", "x_y", f"much_{new_id()}"):
        assert operator.get(f"{LIST}?after={after}").status_code == 400, after
        assert operator.get(f"{LIST}rows/?after={after}").status_code == 400, after


@pytest.mark.parametrize("cost", ["NaN", "sNaN", "Infinity", "-1", "1e400", "100000000"])
def test_a_place_behind_no_cost_is_refused(cast: Cast, browse: Browser, cost: str) -> None:
    made(cast, state="failed")

    query = f"sort=costliest&after={cost}_{new_id()}"
    for path in (LIST, f"{LIST}rows/"):
        assert browse("operator").get(f"{path}?{query}").status_code == 400, path


@pytest.mark.parametrize("name", ["q", "agent", "workspace", "user", "error", "surface", "state"])
def test_a_filter_with_nul_is_named_and_left_out(cast: Cast, browse: Browser, name: str) -> None:
    """PostgreSQL refuses it in any text."""
    run = made(cast)

    page = browse("operator").get(f"{LIST}?{name}=help%00er")

    assert page.status_code == 200
    assert list(page.context["cl"].result_list) == [run]
    assert len(page.context["cl"].notes) == 1
    assert browse("operator").get(f"{LIST}export/?{name}=help%00er").status_code == 400


def test_a_long_list_is_counted_up_to_a_bound(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_finding.runs_counted, "__kwdefaults__", {"bound": 3})
    monkeypatch.setattr(run_finding.runs_page, "__kwdefaults__", {"after": "", "size": 2})
    monkeypatch.setattr("agents.admin.run_list.COUNTED", 3)
    for _ in range(3):
        made(cast)
    operator = browse("operator")

    assert operator.get(LIST).context["cl"].counted == "3"
    made(cast)
    assert operator.get(LIST).context["cl"].counted == "3+"


def test_a_file_has_what_the_list_has(cast: Cast, browse: Browser) -> None:
    run = made(
        cast, text="=SUM(A1)", state="failed", error_code="poison", reason="It broke, \"again\".",
        cost_usd=Decimal("0.5"), requested_by=cast.users["operator"],
    )  # fmt: skip
    made(cast, text="not this one")
    make_run(cast.other, text="foreign")
    operator = browse("operator")

    (row,) = csv.DictReader(io.StringIO(streamed(operator, "state=failed&format=csv")))
    (document,) = json.loads(streamed(operator, "state=failed&format=json"))

    assert row["id"] == document["id"] == str(run.pk)
    assert (row["workspace"], row["agent"], row["state"]) == ("acme", "helper", "failed")
    assert (row["requested_by"], row["error_code"]) == ("operator", "poison")
    assert row["input"] == "'=SUM(A1)", "no sheet takes it for a formula"
    assert document["input"] == "=SUM(A1)"
    assert document["reason"] == 'It broke, "again".'
    assert Decimal(document["cost_usd"]) == Decimal("0.5")
    assert document["payload_hidden"] is False


def test_a_file_is_read_chunk_by_chunk(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.admin.run_export._CHUNK_RUNS", 2)
    runs = [made(cast, text=f"run {number}") for number in range(5)]

    rows = json.loads(streamed(browse("operator"), "sort=oldest&format=json"))

    assert [row["id"] for row in rows] == [str(run.pk) for run in runs]
    assert json.loads(streamed(browse("operator"), "state=failed&format=json")) == []


def test_a_file_hides_payloads_from_who_may_not_see_them(cast: Cast, browse: Browser) -> None:
    made(cast, text="the wording", output="the answer", reason="the cause", state="succeeded")
    viewer = browse("viewer")

    for form in ("csv", "json"):
        text = streamed(viewer, f"format={form}")
        assert "the wording" not in text
        assert "the answer" not in text
        assert "the cause" not in text
        assert "true" in text.lower()
    assert browse("nobody").get(f"{LIST}export/").status_code == 403
    assert viewer.get(f"{LIST}export/?format=xml").status_code == 400
    assert viewer.get(f"{LIST}export/?cost_min=much").status_code == 400


def press(client: Client, name: str, query: str) -> list[Any]:
    """Confirm a deed for all, and go on until it is through; return the batches."""
    asked = client.get(f"{LIST}all/{name}/?{query}").context["asked"]
    fields = {"newest": asked["newest"], "total": asked["total"]}
    batches = []
    while True:
        batch = client.post(f"{LIST}all/{name}/?{query}", fields).context["batch"]
        batches.append(batch)
        if not batch.after:
            return batches
        fields |= {name: getattr(batch, name) for name in ("after", "done", "refused")}


def test_all_that_match_are_done_in_batches(
    cast: Cast, browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "BATCH_RUNS", 2)
    runs = [made(cast, text=f"run {number}") for number in range(5)]
    spared = made(cast, "second")
    foreign = make_run(cast.other)
    operator = browse("operator")

    page = operator.get(f"{LIST}all/cancel/?agent=helper")
    assert "Cancel 5 runs?" in page.content.decode()
    batches = press(operator, "cancel", "agent=helper")

    assert [batch.outcome.done for batch in batches] == [2, 2, 1]
    assert (batches[-1].done, batches[-1].refused, batches[-1].total) == (5, 0, 5)
    assert set(Run.objects.filter(pk__in=[run.pk for run in runs]).values_list("state")) == {
        ("cancelled",)
    }
    assert set(
        Run.objects.filter(pk__in=[spared.pk, foreign.pk]).values_list("state", flat=True)
    ) == {"queued"}


def test_runs_that_come_after_the_question_are_not_touched(cast: Cast, browse: Browser) -> None:
    first = made(cast)
    operator = browse("operator")
    asked = operator.get(f"{LIST}all/cancel/").context["asked"]
    later = made(cast)

    operator.post(f"{LIST}all/cancel/", {"newest": asked["newest"], "total": asked["total"]})

    assert Run.objects.get(pk=first.pk).state == "cancelled"
    assert Run.objects.get(pk=later.pk).state == "queued"


def test_a_run_that_is_refused_is_named_and_the_others_are_done(
    cast: Cast, browse: Browser
) -> None:
    stuck = made(cast, state="yielded", error_code="max_iterations", iteration=25)
    paused = made(cast, state="paused")

    answer = browse("operator").post(
        f"{LIST}all/resume/", {"newest": paused.pk, "total": 2, "after": ""}
    )

    batch = answer.context["batch"]
    assert (batch.done, batch.refused) == (1, 1)
    assert [refusal.run_id for refusal in batch.outcome.refused] == [stuck.pk]
    assert str(stuck.pk) in answer.content.decode()
    assert Run.objects.get(pk=paused.pk).state == "queued"
    assert Run.objects.get(pk=stuck.pk).state == "yielded"


def test_who_may_not_control_runs_has_no_deeds_for_all(cast: Cast, browse: Browser) -> None:
    run = made(cast)
    viewer = browse("viewer")

    assert "all/cancel/" not in viewer.get(LIST).content.decode()
    assert viewer.get(f"{LIST}all/cancel/").status_code == 403
    assert viewer.post(f"{LIST}all/cancel/", {"newest": run.pk, "total": 1}).status_code == 403
    assert Run.objects.get(pk=run.pk).state == "queued"


def test_runs_of_a_workspace_one_only_looks_at_are_left_out(cast: Cast, browse: Browser) -> None:
    operator = browse("operator")
    join(cast.other, "operator", "viewer")
    seen = make_run(cast.other)
    mine = made(cast)

    press(operator, "cancel", "")

    assert Run.objects.get(pk=mine.pk).state == "cancelled"
    assert Run.objects.get(pk=seen.pk).state == "queued"


def test_a_filter_is_kept_found_and_deleted(cast: Cast, browse: Browser) -> None:
    operator = browse("operator")
    form = "/admin/agents/savedfilter/add/?query=state%3Dfailed"
    assert 'value="state=failed"' in operator.get(form).content.decode()

    operator.post(form, {"name": "Broken", "query": "state=failed", "workspace": cast.acme.pk})

    kept = SavedFilter.objects.get()
    assert (kept.name, kept.owner.username, kept.is_shared) == ("Broken", "operator", False)
    assert f'href="{LIST}?state=failed"' in operator.get(LIST).content.decode()
    assert "Broken" not in browse("admin").get(LIST).content.decode()
    place = f"/admin/agents/savedfilter/{kept.pk}/delete/"
    assert "Saved filter Broken" in operator.get(place).content.decode(), "names keep their case"
    operator.post(place, {"post": "yes"})
    assert not SavedFilter.objects.exists()


def test_a_shared_filter_is_found_by_the_workspace_and_deleted_by_its_admin(
    cast: Cast, browse: Browser
) -> None:
    kept = make_saved_filter(cast.acme, "Everybody's")
    place = f"/admin/agents/savedfilter/{kept.pk}/delete/"

    assert "Everybody&#x27;s" in browse("viewer").get(LIST).content.decode()
    assert browse("viewer").post(place, {"post": "yes"}).status_code == 403
    assert SavedFilter.objects.filter(pk=kept.pk).exists()
    browse("admin").post(place, {"post": "yes"})
    assert not SavedFilter.objects.filter(pk=kept.pk).exists()


def test_sharing_takes_the_right_to_control(cast: Cast, browse: Browser) -> None:
    given = {"name": "F", "query": "state=failed", "workspace": cast.acme.pk, "is_shared": "on"}

    browse("viewer").post("/admin/agents/savedfilter/add/", given)
    assert not SavedFilter.objects.exists()
    browse("operator").post("/admin/agents/savedfilter/add/", given)
    assert SavedFilter.objects.get().is_shared


def test_a_filter_that_means_nothing_is_not_kept(cast: Cast, browse: Browser) -> None:
    operator = browse("operator")

    for name, query in (("", "state=failed"), ("F", "state=odd"), ("F", "colour=red")):
        given = {"name": name, "query": query, "workspace": cast.acme.pk}
        operator.post("/admin/agents/savedfilter/add/", given)

    assert not SavedFilter.objects.exists()
