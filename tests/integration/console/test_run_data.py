"""What the page of a run asks for while it is open: who gets it, and what is in it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agents.models import Checkpoint, Run
from core import clock
from core.ids import new_id
from observability.contracts import EventKind
from plugins.models import ToolCall
from tests.factories.agents import checkpoint, make_call, make_run, say
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser
from tests.integration.console.run_kit import address, answer, asked, event, long_history

pytestmark = pytest.mark.django_db

SECRET = "pineapple"


@pytest.fixture
def told(cast: Cast) -> Run:
    """A run with an answer that asks for a call, the call, a child, and a checkpoint."""
    run = make_run(cast.acme, text=f"the {SECRET} question")
    say(run, 0, "user", f"the {SECRET} question")
    answer(run, 1, f"I look for the {SECRET}.", asked("charge", secret=SECRET))
    call = make_call(run)
    event(run, EventKind.TOOL_PLANNED, call_id=str(call.pk), tool="charge", state="planned",
          effect="irreversible", arguments={"secret": SECRET})  # fmt: skip
    event(run, EventKind.TOOL_SETTLED, call_id=str(call.pk), tool="charge", state="failed",
          is_error=True, reason=f"no {SECRET}", result=SECRET)  # fmt: skip
    event(run, EventKind.RUN_NOTE, code="workspace", sentence=f"a {SECRET} was left")
    checkpoint(run, 1, message_count=2)
    return Run.objects.get(pk=run.pk)


def marks(client: Client, run: Run, **query: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(address(run, "events"), query).json()["marks"]
    return found


def test_marks_tell_what_happened_when_and_how_much_it_took(told: Run, browse: Browser) -> None:
    found = {mark["kind"]: mark for mark in marks(browse("operator"), told)}

    model = found["step.model"]
    assert (model["model"], model["tokens_in"], model["tokens_out"]) == ("large", 30, 4)
    assert (model["tokens_cached"], model["cost"], model["took"]) == (10, "0.0015", 1250.0)
    assert model["position"] == 1
    assert SECRET in model["gist"]
    planned = found["tool.planned"]
    assert (planned["tool"], planned["position"], planned["index"]) == ("charge", 1, 0)
    assert found["tool.settled"]["is_error"] is True


def test_marks_go_on_behind_the_last_one_that_was_seen(told: Run, browse: Browser) -> None:
    client = browse("operator")
    first = client.get(address(told, "events"), {"limit": 2}).json()

    assert [mark["n"] for mark in first["marks"]] == [1, 2]
    assert (first["after"], first["has_more"]) == (2, True)
    rest = client.get(address(told, "events"), {"after": 2}).json()
    assert [mark["n"] for mark in rest["marks"]] == list(range(3, told.head_sequence + 1))
    assert rest["has_more"] is False
    assert client.get(address(told, "events"), {"after": rest["after"]}).json()["marks"] == []


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": "-1"}, {"limit": "9" * 12}, {"since": "soon"}]
)
def test_a_place_that_is_no_number_is_refused(
    told: Run, browse: Browser, query: dict[str, str]
) -> None:
    refused = browse("operator").get(address(told, "events"), query)

    assert refused.status_code == 400
    assert refused.json()["code"] == "invalid_input"


def test_a_viewer_sees_marks_without_a_word_of_what_was_said(told: Run, browse: Browser) -> None:
    client = browse("viewer")
    page = client.get(address(told, "events")).content.decode()

    assert "step.model" in page
    assert "charge" in page
    assert SECRET not in page
    assert "gist" not in page


@pytest.mark.parametrize(
    ("name", "more"),
    [("turns", ()), ("event", (2,)), ("part", (1, 0)), ("state", (1,)), ("file", (1,))],
)
def test_without_sight_of_payloads_there_is_nothing_to_read(
    told: Run, browse: Browser, name: str, more: tuple[object, ...]
) -> None:
    refused = browse("viewer").get(address(told, name, *more))

    assert refused.status_code == 403
    assert SECRET not in refused.content.decode()


def test_a_call_is_hidden_with_its_arguments(told: Run, browse: Browser) -> None:
    call = ToolCall.objects.get(run_id=told.pk)

    refused = browse("viewer").get(address(told, "call", call.pk))

    assert refused.status_code == 403
    assert SECRET not in refused.content.decode()


ADDRESSES: list[Callable[[Run, Run], str]] = [
    lambda run, _: address(run, "events"),
    lambda run, _: address(run, "event", 1),
    lambda run, _: address(run, "turns"),
    lambda run, _: address(run, "part", 0, 0),
    lambda run, _: address(run, "call", new_id()),
    lambda run, _: address(run, "state", 1),
    lambda run, _: address(run, "file", 1),
    lambda run, own: address(run, "compare", own.pk),
    lambda run, own: address(own, "compare", run.pk),
]


@pytest.mark.parametrize("make", ADDRESSES, ids=range(len(ADDRESSES)))
def test_nothing_of_a_foreign_run_is_told(
    cast: Cast, browse: Browser, make: Callable[[Run, Run], str]
) -> None:
    foreign, own = make_run(cast.other, text=SECRET), make_run(cast.acme)
    say(foreign, 0, "user", SECRET)
    checkpoint(foreign, 1, message_count=1)

    refused = browse("admin").get(make(foreign, own))

    assert refused.status_code in {403, 404}
    assert SECRET not in refused.content.decode()


def test_a_call_of_another_run_is_not_had_by_way_of_ones_own(cast: Cast, browse: Browser) -> None:
    own, foreign = make_run(cast.acme), make_run(cast.other)
    call = make_call(foreign)

    assert browse("admin").get(address(own, "call", call.pk)).status_code == 404


def test_children_are_told_again_only_when_they_changed(cast: Cast, browse: Browser) -> None:
    run, call = make_run(cast.acme), new_id()
    child = make_run(cast.acme, "worker")
    old = clock.now() - timedelta(hours=1)
    Run.objects.filter(pk=child.pk).update(
        parent=run, root_id=run.pk, parent_call_id=call, updated_at=old
    )
    client = browse("viewer")

    (found,) = client.get(address(run, "events")).json()["children"]
    assert (found["id"], found["agent"], found["state"]) == (str(child.pk), "worker", "queued")
    assert found["call"] == str(call)
    since = int(clock.now().timestamp() * 1000)
    assert client.get(address(run, "events"), {"since": since}).json()["children"] == []
    Run.objects.filter(pk=child.pk).update(state="running", updated_at=clock.now())
    (changed,) = client.get(address(run, "events"), {"since": since}).json()["children"]
    assert changed["state"] == "running"


def test_a_child_in_a_workspace_one_may_not_see_is_left_out(cast: Cast, browse: Browser) -> None:
    run, child = make_run(cast.acme), make_run(cast.other)
    Run.objects.filter(pk=child.pk).update(parent=run)

    assert browse("admin").get(address(run, "events")).json()["children"] == []


def test_an_event_is_told_whole_to_whoever_may_read(told: Run, browse: Browser) -> None:
    client = browse("operator")
    number = next(mark["n"] for mark in marks(client, told) if mark["kind"] == "tool.planned")

    found = client.get(address(told, "event", number)).json()

    assert found["value"]["arguments"] == {"secret": SECRET}
    assert client.get(address(told, "event", 99)).status_code == 404
    assert client.get(address(told, "event", 2**33)).status_code == 404


def test_a_checkpoint_is_looked_into(told: Run, browse: Browser) -> None:
    client = browse("operator")

    found = client.get(address(told, "state", 1)).json()

    assert (found["sequence"], found["messages"]) == (1, 2)
    assert found["engine"]["iteration"] == 1
    assert found["files"] == []
    assert found["files_note"] == "No call up to here could change files."
    assert client.get(address(told, "state", 2)).status_code == 404


def test_a_page_that_has_the_newest_parts_is_told_so_later_too(told: Run, browse: Browser) -> None:
    client = browse("operator")
    first = client.get(address(told, "live"))

    with clock.shifted(timedelta(seconds=5)):  # no word of it but "5 s ago" is another
        again = client.get(address(told, "live"), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Run.objects.filter(pk=told.pk).update(iteration=7)
    assert (
        client.get(address(told, "live"), headers={"If-None-Match": first["ETag"]}).status_code
        == 200
    )


def test_a_long_run_costs_its_page_no_more_than_a_short_one(cast: Cast, browse: Browser) -> None:
    short, long = make_run(cast.acme), make_run(cast.acme)
    for run, count in ((short, 2), (long, 90)):
        long_history(run, count)
        now = clock.now()
        Checkpoint.objects.bulk_create(
            Checkpoint(run=run, sequence=n + 1, message_count=n, state={}, created_at=now)
            for n in range(count)
        )
    client = browse("operator")
    client.get(address(short, "change"))
    counts = []
    for run in (short, long):
        with CaptureQueriesContext(connection) as asked_for:
            assert client.get(address(run, "change")).status_code == 200
        counts.append(len(asked_for))

    assert counts[0] == counts[1]


def test_the_page_names_its_addresses_elsewhere(told: Run, browse: Browser) -> None:
    api = f"/api/v1/workspaces/{told.workspace.name}/runs/{told.pk}"

    reader = browse("operator").get(address(told, "change")).content.decode()
    viewer = browse("viewer").get(address(told, "change")).content.decode()

    assert f"http://testserver{api}" in reader
    assert f"http://testserver{api}" in viewer
    assert f"{api}/trace" in reader
    assert f"{api}/trace" not in viewer
