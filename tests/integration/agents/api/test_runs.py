"""Starting, finding, steering and explaining runs over REST."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Run
from core import clock
from plugins.contracts import CallState
from plugins.models import ToolCall
from tests.factories.agents import (
    make_agent,
    make_call,
    make_finished_run,
    make_run,
    make_session,
    say,
)
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs


def test_a_run_is_accepted_and_shown(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    operator = call_as("operator")

    accepted = operator("post", "agents/helper/invoke", {"input": "do it"})

    assert accepted.status_code == 202, accepted.json()
    run = accepted.json()
    assert run["state"] == "queued"
    assert run["agent"] == "helper"
    assert run["version"] == 1
    assert run["input"] == "do it"
    assert run["workspace"] == "acme"
    assert accepted["Location"] == run["url"]
    shown = operator("get", run["url"])
    assert shown.json() == run
    assert shown["ETag"] == accepted["ETag"]
    assert [row["id"] for row in operator("get", "runs").json()["items"]] == [run["id"]]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("agentry-cli/1.0", "cli"),
        ("agentry-python/1.0", "sdk"),
        ("console/1.0", ""),
        ("agentry-cli<script>/" + "x" * 10_000, ""),
        ("agentry-cli/" + "x" * 10_000, "cli"),
    ],
)
def test_what_a_request_says_of_itself_is_kept_and_nothing_is_made_of_it(
    cast: Cast, call_as: CallAs, sent: str, kept: str
) -> None:
    make_agent(cast.acme)
    operator = call_as("operator")
    origin = make_finished_run(cast.acme)
    headers = {"User-Agent": sent}

    made = [
        operator("post", "runs", {"agent": "helper", "input": "do it"}, **headers),
        operator("post", f"runs/{origin.pk}/fork", {"message": "Again"}, **headers),
        operator("post", f"runs/{origin.pk}/replay", {}, **headers),
    ]

    assert [(run.json()["surface"], run.json()["client"]) for run in made] == [
        ("api", kept), ("fork", kept), ("replay", kept),
    ]  # fmt: skip


def test_a_run_names_who_asked_for_it(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    operator = call_as("operator")
    for _ in range(2):
        operator("post", "agents/helper/invoke", {"input": "do it"})
    with CaptureQueriesContext(connection) as of_two:
        listed = operator("get", "runs").json()["items"]
    operator("post", "agents/helper/invoke", {"input": "do it"})
    with CaptureQueriesContext(connection) as of_three:
        operator("get", "runs")

    assert {(row["requested_by"], row["requested_by_name"]) for row in listed} == {
        (str(cast.users["operator"].pk), "operator")
    }
    assert len(of_three) == len(of_two), "the name must not cost a query for each run"
    Run.objects.update(requested_by=None)
    assert operator("get", listed[0]["url"]).json()["requested_by_name"] is None


def test_the_same_key_starts_one_run(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)
    operator = call_as("operator")
    body = {"agent": "helper", "input": "do it", "limits": {"max_cost_usd": "1.50"}}

    first = operator("post", "runs", body, **{"Idempotency-Key": "abc"})
    again = operator("post", "runs", body, **{"Idempotency-Key": "abc"})
    other = operator("post", "runs", {**body, "input": "else"}, **{"Idempotency-Key": "abc"})
    long = operator("post", "runs", body, **{"Idempotency-Key": "k" * 201})

    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 409
    assert long.status_code == 400
    assert Run.objects.count() == 1


def test_an_answer_is_held_no_longer_than_asked(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)

    answer = call_as("operator")("post", "agents/helper/invoke", {"input": "x", "wait": 0.05})

    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"


def test_a_stream_needs_a_server_that_can(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme)

    refused = call_as("operator")("post", "agents/helper/invoke", {"input": "x", "stream": True})

    assert refused.status_code == 503
    assert Run.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"input": ""}, 400),
        ({"input": "  "}, 400),
        ({"input": 5, "extra": 1}, 400),
        ({"input": "x", "wait": 61}, 400),
        ({"input": "x", "limits": {"max_iterations": 0}}, 400),
        ({"input": "x", "limits": {"max_itertions": 5}}, 400),
        ({"input": "x", "variables": [1]}, 400),
        ({"input": "x", "session": "no"}, 400),
        ({"input": "x", "session": "0190b8f0-0000-7000-8000-000000000000"}, 404),
        ({"input": "x", "model": "ghost"}, 400),
        ([], 400),
    ],
)
def test_what_cannot_start_starts_nothing(
    cast: Cast, call_as: CallAs, body: Any, status: int
) -> None:
    make_agent(cast.acme)

    refused = call_as("operator")("post", "agents/helper/invoke", body)

    assert refused.status_code == status, refused.json()
    assert refused["Content-Type"] == "application/problem+json"
    assert Run.objects.count() == 0


def test_runs_are_filtered(cast: Cast, call_as: CallAs) -> None:
    make_agent(cast.acme, "other")
    session = make_session(cast.acme)
    first = make_run(cast.acme, text="count apples")
    second = make_run(cast.acme, "other", text="count pears")
    third = make_run(cast.acme, text="sing", session=session.pk)
    finished = make_finished_run(cast.acme, text="last")
    viewer, operator = call_as("viewer"), call_as("operator")

    def found(caller: Any, query: str) -> set[str]:
        answer = caller("get", f"runs?{query}")
        assert answer.status_code == 200, answer.json()
        return {row["id"] for row in answer.json()["items"]}

    def ids(*runs: Run) -> set[str]:
        return {str(run.pk) for run in runs}

    assert found(operator, "agent=other") == ids(second)
    assert found(operator, "state=cancelled") == ids(finished)
    assert len(found(operator, "state=cancelled&state=queued")) == 4
    assert found(operator, f"session={session.pk}") == ids(third)
    assert found(operator, f"root={first.pk}") == ids(first)
    assert found(operator, "q=count") == ids(first, second)
    assert found(viewer, "q=count") == set(), "a search must not tell what is hidden"
    assert found(viewer, "q=other") == ids(second)
    assert found(operator, "surface=nothing") == set()
    moment = (clock.now() + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert found(operator, f"created_after={moment}") == set()
    assert len(found(operator, f"created_before={moment}")) == 4
    assert operator("get", "runs?state=flying").status_code == 400
    assert operator("get", "runs?stat=queued").status_code == 400


def test_an_unknown_state_is_answered_with_those_there_are(cast: Cast, call_as: CallAs) -> None:
    refused = call_as("operator")("get", "runs?state=finished")

    assert refused.status_code == 400
    (sentence,) = refused.json()["errors"]["state"]
    assert sentence == (
        "finished is no state. Known: queued, running, waiting, paused, yielded, succeeded, "
        "failed, cancelled."
    )


def test_pages_follow_one_another_without_gap_or_repeat(cast: Cast, call_as: CallAs) -> None:
    runs = [make_run(cast.acme, text=f"n{number}") for number in range(5)]
    viewer = call_as("viewer")

    seen: list[str] = []
    address = "runs?limit=2"
    while address:
        page = viewer("get", address).json()
        seen += [row["id"] for row in page["items"]]
        address = (page["next"] or "").removeprefix("http://testserver")

    assert seen == [str(run.pk) for run in reversed(runs)]


def test_a_run_is_steered_and_the_second_is_told_who_was_first(cast: Cast, call_as: CallAs) -> None:
    run = make_run(cast.acme)
    operator, admin = call_as("operator"), call_as("admin")

    paused = operator("post", f"runs/{run.pk}/pause", {})
    again = admin("post", f"runs/{run.pk}/pause", {})
    resumed = operator("post", f"runs/{run.pk}/resume", {"limits": {"max_iterations": 50}})
    cancelled = admin("post", f"runs/{run.pk}/cancel", {"reason": "enough"})
    late = operator("post", f"runs/{run.pk}/cancel", {})

    assert paused.json()["state"] == "paused"
    assert again.status_code == 409
    assert resumed.json()["state"] == "queued"
    assert resumed.json()["limits"]["max_iterations"] == 50
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["reason"] == "Cancelled by admin: enough"
    assert late.status_code == 409
    assert late.json()["context"]["by"] == "admin"


def test_a_run_is_forked_and_replayed(cast: Cast, call_as: CallAs) -> None:
    run = make_finished_run(cast.acme)
    operator = call_as("operator")

    forked = operator("post", f"runs/{run.pk}/fork", {"message": "again", "start": False})
    replayed = operator("post", f"runs/{run.pk}/replay", {})
    none = operator("post", f"runs/{run.pk}/fork", {"checkpoint": 9})

    assert forked.status_code == 201, forked.json()
    assert forked.json()["forked_from"] == {"run": str(run.pk), "sequence": 1}
    assert forked.json()["state"] == "paused"
    assert replayed.status_code == 201, replayed.json()
    assert replayed.json()["replay_of"] == str(run.pk)
    assert none.status_code == 400
    messages = operator("get", f"runs/{forked.json()['id']}/messages").json()["items"]
    assert [message["position"] for message in messages] == [0, 1, 2]
    assert messages[-1]["parts"] == [{"type": "text", "content": "again"}]


def test_what_belongs_to_a_run_is_listed(cast: Cast, call_as: CallAs) -> None:
    run = make_finished_run(cast.acme)
    child = make_run(cast.acme, text="child")
    Run.objects.filter(pk=child.pk).update(parent=run, root_id=run.pk)
    make_call(run)
    operator = call_as("operator")

    def items(part: str) -> list[dict[str, Any]]:
        answer = operator("get", f"runs/{run.pk}/{part}")
        assert answer.status_code == 200, answer.json()
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    assert [row["role"] for row in items("messages")] == ["user", "assistant"]
    assert items("checkpoints")[0]["phase"] == "model"
    assert items("tool-calls")[0]["tool"] == "charge"
    assert items("children")[0]["id"] == str(child.pk)
    kinds = [event["kind"] for event in items("events")]
    assert kinds[0] == "run.created"
    assert items("events?after=1") == items("events")[1:]
    assert [event["kind"] for event in items("events?kind=run.created")] == ["run.created"]
    first = operator("get", f"runs/{run.pk}/events?limit=1").json()
    assert first["next_cursor"] == "1"
    second = operator("get", first["next"].removeprefix("http://testserver"))
    assert second.json()["items"][0]["sequence"] == 2
    assert operator("get", f"runs/{run.pk}/events?after=x").status_code == 400
    assert operator("get", f"runs/{run.pk}/events?kind=x").status_code == 400


def test_a_trace_is_exported_as_lines(cast: Cast, call_as: CallAs) -> None:
    run = make_finished_run(cast.acme)
    operator = call_as("operator")

    native = operator("get", f"runs/{run.pk}/trace")
    legacy = operator("get", f"runs/{run.pk}/trace?form=legacy")
    wrong = operator("get", f"runs/{run.pk}/trace?form=pdf")
    hidden = call_as("viewer")("get", f"runs/{run.pk}/trace")

    lines = [json.loads(line) for line in b"".join(native.streaming_content).splitlines()]
    assert native["Content-Type"] == "application/x-ndjson"
    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    old = [json.loads(line) for line in b"".join(legacy.streaming_content).splitlines()]
    assert {line["agent_id"] for line in old} == {str(run.pk)}
    assert wrong.status_code == 400
    assert hidden.status_code == 403


def test_why_explains_the_state(cast: Cast, call_as: CallAs) -> None:
    run = make_run(cast.acme)

    told = call_as("operator")("get", f"runs/{run.pk}/why").json()

    assert told["state"] == "queued"
    assert told["reasons"][0]["code"] == "no_worker"
    assert told["blockers"] == ["no_worker"]
    assert told["summary"] == told["reasons"][0]["sentence"]


def test_a_call_in_doubt_is_found_and_resolved_once(cast: Cast, call_as: CallAs) -> None:
    run = make_run(cast.acme)
    call = make_call(run)
    make_call(run, state=CallState.COMMITTED, index=1)
    operator, admin = call_as("operator"), call_as("admin")

    listed = operator("get", "tool-calls?state=in_doubt").json()["items"]
    wrong = operator("post", f"tool-calls/{call.pk}/resolve", {"outcome": "perhaps"})
    resolved = operator("post", f"tool-calls/{call.pk}/resolve", {"outcome": "committed"})
    late = admin("post", f"tool-calls/{call.pk}/resolve", {"outcome": "retry"})

    assert [row["id"] for row in listed] == [str(call.pk)]
    assert wrong.status_code == 400
    assert resolved.json()["state"] == "committed"
    assert late.status_code == 409
    assert late.json()["context"]["by"] == "operator"
    assert ToolCall.objects.get(pk=call.pk).state == "committed"


def test_without_run_payload_nothing_of_it_is_shown_anywhere(cast: Cast, call_as: CallAs) -> None:
    session = make_session(cast.acme)
    run = make_run(cast.acme, text="pineapple input", session=session.pk)
    say(run, 0, "user", "pineapple message")
    call = make_call(run)
    Run.objects.filter(pk=run.pk).update(
        state="paused", reason="pineapple reason", output="pineapple output"
    )
    viewer, operator = call_as("viewer"), call_as("operator")
    places = [
        "runs",
        f"runs/{run.pk}",
        f"runs/{run.pk}/why",
        f"runs/{run.pk}/messages",
        f"runs/{run.pk}/checkpoints",
        f"runs/{run.pk}/tool-calls",
        f"runs/{run.pk}/children",
        f"runs/{run.pk}/events",
        f"sessions/{session.pk}/messages",
        "tool-calls",
        f"tool-calls/{call.pk}",
        "runs?q=pineapple",
    ]

    for place in places:
        answer = viewer("get", place)
        assert answer.status_code == 200, place
        assert "pineapple" not in answer.content.decode(), place
    shown = viewer("get", f"runs/{run.pk}").json()
    assert (shown["input"], shown["output"], shown["reason"]) == (None, None, None)
    assert shown["payload_hidden"] is True
    assert viewer("get", f"tool-calls/{call.pk}").json()["arguments"] is None
    open_ = operator("get", f"runs/{run.pk}").json()
    assert open_["input"] == "pineapple input"
    assert open_["payload_hidden"] is False
    assert "pineapple" in operator("get", f"runs/{run.pk}/why").content.decode()
