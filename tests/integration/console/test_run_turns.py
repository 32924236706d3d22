"""What was said and called in a run, as its page has it: in windows, and with big values cut."""

from typing import Any

import pytest

from agents.models import Message, Run
from core import clock
from plugins.contracts import CallState
from plugins.models import ToolCall
from tests.factories.agents import make_approval, make_call, make_run, say
from tests.factories.governance import Cast
from tests.integration.console.conftest import Browser
from tests.integration.console.run_kit import address, answer, asked, long_history

pytestmark = pytest.mark.django_db


def test_a_long_conversation_comes_in_windows(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    long_history(run, 100)
    client = browse("operator")

    page = client.get(address(run, "change")).content.decode()
    assert "sentence 099" in page
    assert "sentence 060" in page
    assert "sentence 059" not in page
    before = client.get(address(run, "turns"), {"before": 60}).json()
    assert (before["first"], before["last"], before["later"]) == (20, 59, 40)
    assert "sentence 020" in before["html"]
    assert "sentence 019" not in before["html"]
    after = client.get(address(run, "turns"), {"after": 97}).json()
    assert (after["first"], after["last"], after["later"], after["settled"]) == (98, 99, 0, 99)
    around = client.get(address(run, "turns"), {"around": 50}).json()
    assert around["first"] <= 50 <= around["last"]
    assert client.get(address(run, "turns"), {"after": 99}).json()["html"].strip() == ""
    assert client.get(address(run, "turns"), {"after": 1, "before": 9}).status_code == 400


def test_a_turn_with_an_open_call_is_asked_for_again(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    say(run, 0, "user", "go")
    answer(run, 1, "I call.", asked("charge"))
    call = make_call(run, state=CallState.DISPATCHED)
    client = browse("operator")

    assert client.get(address(run, "turns")).json()["settled"] == 0
    ToolCall.objects.filter(pk=call.pk).update(state="committed", result="charged")
    settled = client.get(address(run, "turns"), {"after": 0}).json()
    assert settled["settled"] == 1
    assert "charged" in settled["html"]


def test_a_window_holds_the_results_of_its_last_turn(cast: Cast, browse: Browser) -> None:
    """They lie behind it, in messages of their own; here of a history without a ledger."""
    run = make_run(cast.acme)
    long_history(run, 39)
    answer(run, 39, "I look.", asked("view", 7, path="a"))
    Message.objects.create(
        run=run, position=40, role="tool", created_at=clock.now(),
        parts=[{"type": "tool_call_response", "id": "c7", "result": "what was seen"}],
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(message_count=41)

    found = browse("operator").get(address(run, "turns"), {"after": -1}).json()

    assert (found["first"], found["last"], found["later"]) == (0, 40, 0)
    assert "what was seen" in found["html"]


def test_long_texts_are_had_whole_from_an_address_of_their_own(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    text = "word " * 2_000 + "the end"
    say(run, 0, "user", text)
    answer(run, 1, "ok", asked("write", content=text))
    client = browse("operator")

    window = client.get(address(run, "turns")).json()["html"]
    assert "the end" not in window
    assert address(run, "part", 0, 0) in window
    assert client.get(address(run, "part", 0, 0)).json() == {"value": text}
    named = client.get(address(run, "part", 1, 1), {"name": "content"}).json()
    assert named == {"value": text}
    assert client.get(address(run, "part", 1, 9)).status_code == 404
    assert client.get(address(run, "part", 2**40, 0)).status_code == 404


def test_a_call_is_told_with_big_values_cut_and_had_whole(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    call = make_call(run)
    big = {"list": list(range(500)), "text": "x" * 5_000, "a/b": {"~": "y" * 5_000}}
    ToolCall.objects.filter(pk=call.pk).update(arguments=big, result='{"ok": [1, 2]}')
    client = browse("operator")

    found = client.get(address(run, "call", call.pk)).json()
    assert found["result"] == {"ok": [1, 2]}
    assert len(found["arguments"]["list"]) == 200
    assert len(found["arguments"]["text"]) == 4_000
    assert found["cut"] == {
        "/arguments/list": 500, "/arguments/text": 5_000, "/arguments/a~1b/~0": 5_000,
    }  # fmt: skip
    for pointer, value in (("list", big["list"]), ("a~1b/~0", "y" * 5_000), ("list/499", 499)):
        whole = client.get(address(run, "call", call.pk), {"pointer": f"/arguments/{pointer}"})
        assert whole.json() == {"value": value}
    for wrong in ("/arguments/none", "/arguments/list/500", "arguments", "/arguments/list/-1"):
        assert client.get(address(run, "call", call.pk), {"pointer": wrong}).status_code == 404


def test_what_an_approver_changed_is_shown_as_a_difference(cast: Cast, browse: Browser) -> None:
    run = make_run(cast.acme)
    call = make_call(run, state=CallState.WAITING)
    approval = make_approval(run, call)
    type(approval).objects.filter(pk=approval.pk).update(
        tool=call.tool, arguments={"amount": 12}, edited_arguments={"amount": 9},
        decided_by_name="ada", state="approved",
    )  # fmt: skip

    edit = browse("operator").get(address(run, "call", call.pk)).json()["edit"]

    assert edit["by"] == "ada"
    assert ["-", "removed", '{"amount": 12}'] in edit["lines"]
    assert ["+", "added", '{"amount": 9}'] in edit["lines"]


@pytest.mark.parametrize(
    ("tool", "arguments", "path", "lines"),
    [
        ("edit", {"path": "a.md", "old_string": "one", "new_string": "two"}, "a.md",
         [["-", "removed", "one"], ["+", "added", "two"]]),
        ("search_replace", {"search": "one", "replace": "two"}, ".",
         [["-", "removed", "one"], ["+", "added", "two"]]),
        ("insert", {"path": "a.md", "insert_line": 3, "content": "new"}, "a.md",
         [["+", "added", "new"]]),
        ("write", {"path": "a.md", "content": "all of it"}, "a.md",
         [["+", "added", "all of it"]]),
        ("patch", {"patch": "--- a/x.md\n+++ b/x.md\n@@ -1 +1 @@\n-one\n+two\n"}, "x.md",
         [["-", "removed", "one"], ["+", "added", "two"]]),
    ],
)  # fmt: skip
def test_calls_that_write_show_what_they_change(
    cast: Cast, browse: Browser, tool: str, arguments: Any, path: str, lines: list[list[str]]
) -> None:
    run = make_run(cast.acme)
    call = make_call(run)
    ToolCall.objects.filter(pk=call.pk).update(tool=tool, arguments=arguments)

    (change,) = browse("operator").get(address(run, "call", call.pk)).json()["changes"]

    assert change["path"] == path
    assert [line for line in change["lines"] if line[1] in {"added", "removed"}] == lines
