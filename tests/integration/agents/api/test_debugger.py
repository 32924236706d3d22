"""The debugger over REST: who may, what is shown to whom, and whom of two is told no."""

from typing import Any

import pytest

from agents.models import Run, RunEdit
from governance.contracts import BUILTIN_ROLES, Perm
from plugins.models import ToolCall
from tests.factories.agents import checkpoint, make_run, say
from tests.factories.governance import Cast
from tests.integration.agents.api.conftest import CallAs

TEXT = {"kind": "text", "value": "Otter"}


def paused(cast: Cast) -> Run:
    """A run that is held before its first model call."""
    run = make_run(cast.acme, text="Find the otter")
    say(run, 0, "user", "Find the otter")
    checkpoint(run, 1, message_count=1)
    Run.objects.filter(pk=run.pk).update(
        state="paused", error_code="step", reason="Held at the otter.", message_count=1,
        debug={"step": "both", "breakpoints": [TEXT], "scope": "run"},
    )  # fmt: skip
    run.refresh_from_db()
    return run


def row(run: Run) -> dict[str, Any]:
    return dict(Run.objects.filter(pk=run.pk).values().get())


def test_where_a_run_stands_is_shown(cast: Cast, call_as: CallAs) -> None:
    run = paused(cast)

    found = call_as("operator")("get", f"runs/{run.pk}/debug").json()

    assert found == {
        "run": str(run.pk), "version": 0, "state": "paused", "step": "both",
        "breakpoints": [TEXT], "scope": "run", "hold": "step", "sentence": "Held at the otter.",
        "next": "model", "can_add": True, "calls": [], "held_below": [], "by": "", "deed": "",
        "messages": [
            {"position": 0, "role": "user", "text": "Find the otter", "payload_hidden": False}
        ],
        "payload_hidden": False,
    }  # fmt: skip


def test_without_sight_of_payload_nothing_of_it_is_shown(cast: Cast, call_as: CallAs) -> None:
    run = paused(cast)
    operator, viewer = call_as("operator"), call_as("viewer")
    edit = {"version": 0, "kind": "message", "position": 0, "text": "Find the otters"}
    assert operator("post", f"runs/{run.pk}/edits", edit).status_code == 201

    for path in ("debug", "edits", "messages", "events"):
        answer = viewer("get", f"runs/{run.pk}/{path}")
        assert answer.status_code == 200
        assert "otter" not in answer.content.decode().lower(), path
    kept = operator("get", f"runs/{run.pk}/edits").json()["items"]
    assert [(each["kind"], each["edited_by_name"]) for each in kept] == [("message", "operator")]
    assert kept[0]["before"] == [{"type": "text", "content": "Find the otter"}]
    shown = operator("get", f"runs/{run.pk}/messages").json()["items"][0]["parts"]
    assert shown == [{"type": "text", "content": "Find the otters"}]


@pytest.mark.parametrize(
    ("path", "said", "word"),
    [
        ("step", {}, "stepped"),
        ("continue", {}, "continued"),
        ("edits", {"kind": "added", "text": "More."}, "edited"),
    ],
)
def test_a_run_that_waits_is_said_to_wait_and_nobody_to_have_been_first(
    cast: Cast, call_as: CallAs, path: str, said: dict[str, Any], word: str
) -> None:
    run = paused(cast)
    Run.objects.filter(pk=run.pk).update(state="waiting", wait_kind="approval", error_code="")
    before = row(run)

    answer = call_as("operator")("post", f"runs/{run.pk}/{path}", {"version": 0, **said})

    assert answer.status_code == 409
    assert answer.json()["detail"] == f"The run is waiting; only a paused run can be {word}."
    assert f"`agentry runs why {run.pk}`" in answer.json()["remedy"]
    assert row(run) == before


def test_a_text_breakpoint_is_not_a_way_to_guess_payload(cast: Cast, call_as: CallAs) -> None:
    run = paused(cast)
    narrow = call_as("operator", scopes=["run.view", "run.control"])
    before = row(run)

    refused = narrow("put", f"runs/{run.pk}/debug", {"version": 0, "breakpoints": [TEXT]})
    allowed = narrow("put", f"runs/{run.pk}/debug", {"version": 0, "step": "model"})

    assert (refused.status_code, refused.json()["context"]["permission"]) == (403, "run.payload")
    assert before["debug"]["breakpoints"] == [TEXT]
    assert allowed.status_code == 200
    assert row(run)["debug"] == {"step": "model", "breakpoints": [], "scope": "run"}


@pytest.mark.parametrize("role", ["viewer", "operator", "author", "auditor", "admin"])
def test_steering_takes_the_permission(cast: Cast, call_as: CallAs, role: str) -> None:
    said = {"kind": "added", "text": "Hurry"}
    for path, body in (("step", {}), ("continue", {}), ("edits", said)):
        run = paused(cast)
        before = row(run)
        answer = call_as(role)("post", f"runs/{run.pk}/{path}", {"version": 0, **body})
        if Perm.RUN_CONTROL in BUILTIN_ROLES[role]:
            assert answer.status_code in {200, 201}, (path, answer.content)
            assert row(run)["debug_version"] == 1
        else:
            assert answer.status_code == 403
            assert (row(run), RunEdit.objects.count()) == (before, 0)


def test_the_second_of_two_hears_who_was_first_and_what_they_did(
    cast: Cast, call_as: CallAs
) -> None:
    run = paused(cast)
    won = call_as("operator")("post", f"runs/{run.pk}/step", {"version": 0})
    before = row(run)
    lost = call_as("admin")("post", f"runs/{run.pk}/step", {"version": 0})

    assert (won.status_code, won.json()["version"], won.json()["state"]) == (200, 1, "queued")
    problem = lost.json()
    assert (lost.status_code, problem["code"]) == (409, "stale_state")
    assert "operator stepped it" in problem["detail"]
    assert problem["context"]["by"] == "operator"
    assert problem["context"]["version"] == 1
    assert row(run) == before


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "message", "position": 0},
        {"kind": "added", "text": "x", "position": 1},
        {"kind": "arguments", "arguments": {}},
        {"kind": "rewritten", "text": "x"},
        {"kind": "added", "text": "x", "version": "0"},
    ],
)
def test_an_edit_that_is_not_one_of_three_things_is_refused(
    cast: Cast, call_as: CallAs, body: dict[str, Any]
) -> None:
    run = paused(cast)
    answer = call_as("operator")("post", f"runs/{run.pk}/edits", {"version": 0, **body})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert (RunEdit.objects.count(), ToolCall.objects.count()) == (0, 0)


def test_a_run_is_started_with_a_debugger_by_who_may_steer_it(cast: Cast, call_as: CallAs) -> None:
    make_run(cast.acme)
    asked = {"agent": "helper", "input": "x", "debug": {"step": "tool"}}
    started = call_as("operator")("post", "runs", asked)
    refused = call_as("operator", scopes=["run.start", "run.view"])("post", "runs", asked)

    debug = Run.objects.values_list("debug", flat=True).get(pk=started.json()["id"])
    assert debug == {"step": "tool", "breakpoints": [], "scope": "run"}
    assert (refused.status_code, Run.objects.count()) == (403, 2)
