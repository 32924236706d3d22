"""The debugger in a real browser: two operators, one run with tools, a child and an approval."""

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser.conftest import Complaints
from tests.e2e.browser.driver import page_open, serious, sign_in
from tests.e2e.browser.stage import WORKSPACE, Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

ASKED = """\
version: 1
rules:
  - {name: writing, tools: [write], effect: ask, allow_self: true, reason: Files stay.}
  - {name: the-rest, tools: ["*"], effect: allow}
"""


def rest(stage: Stage, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{stage.url}/api/v1/workspaces/{WORKSPACE}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@pytest.fixture
def other(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """The page of a second operator."""
    with page_open(browser) as opened:
        complaints.listen(opened)
        yield opened


def visit(page: Page, stage: Stage, run: str, username: str) -> None:
    sign_in(page, stage, username)
    page.goto(f"{stage.url}/admin/agents/run/{run}/change/")


def panel(page: Page) -> Any:
    return page.locator("#run-debugger")


def edited(page: Page, complaints: Complaints) -> None:
    """What does not fit is said in place; what fits is kept."""
    page.get_by_role("button", name="Edit the arguments of write").click()
    editor = page.get_by_role("dialog")
    editor.get_by_label("Arguments, a JSON object").fill('{"path": 5}')
    editor.get_by_role("button", name="Save the change").click()
    expect(editor.get_by_role("alert")).to_contain_text("do not fit the schema of write")
    refused(complaints, 400)
    editor.get_by_label("Arguments, a JSON object").fill('{"path": "n.md", "content": "Two."}')
    editor.get_by_role("button", name="Save the change").click()
    expect(editor).to_be_hidden()


def breakpoint_set(other: Page) -> None:
    """A breakpoint instead of steps, with the keyboard."""
    other.get_by_role("button", name="Breakpoints").click()
    sheet = other.get_by_role("dialog")
    sheet.get_by_label("Hold the run before each").select_option("off")
    sheet.get_by_label("Kind of breakpoint").select_option("agent")
    sheet.get_by_label("What to hold at").fill("edit*")
    sheet.get_by_label("What to hold at").press("Enter")
    sheet.get_by_role("button", name="Set").click()
    expect(sheet).to_be_hidden()


def test_two_operators_step_edit_and_continue_one_run(
    page: Page, other: Page, stage: Stage, complaints: Complaints
) -> None:
    rest(stage, "PUT", "policy", {"source": ASKED})
    rest(stage, "POST", "policy/publish", {"note": "Ask about files."})
    settings = {"step": "both", "scope": "tree", "breakpoints": []}
    asked = {"agent": "release-notes", "input": "Notes for 2.5.", "debug": settings}
    run = rest(stage, "POST", "runs", asked)["id"]
    visit(page, stage, run, "olga")
    visit(other, stage, run, "root")

    # Step mode: one key lets one call go, and both see where it stands.
    expect(panel(page)).to_contain_text("Held before model call 1")
    expect(panel(other)).to_contain_text("Held before model call 1")
    assert serious(page) == []
    page.keyboard.press("s")
    for each in (page, other):
        expect(panel(each)).to_contain_text("Held before 2 calls (todo, write)")
        expect(panel(each)).to_contain_text("olga stepped it")

    edited(page, complaints)
    expect(panel(other)).to_contain_text("n.md")
    expect(panel(other)).to_contain_text("olga changed the arguments of write")
    breakpoint_set(other)
    expect(panel(page)).to_contain_text("agent:edit*")
    page.keyboard.press("c")

    # The changed call is asked about with its new arguments.
    expect(page.locator("#run-state .pill-word")).to_contain_text("waiting")
    for _ in range(2):
        question = _question(stage, run)
        rest(stage, "POST", f"approvals/{question}/decide", {"verdict": "approve"})
    expect(panel(page)).to_contain_text("agent:edit*: editor is about to begin")
    expect(panel(page)).to_contain_text("Held below")
    panel(page).get_by_role("link", name="editor").click()
    expect(panel(page)).to_contain_text("Held at a breakpoint")
    page.get_by_role("button", name="Continue").click()

    # One truth at the end: the call ran as it was changed, and the model was told by whom.
    expect(other.locator("#run-state .pill-word")).to_have_text("succeeded")
    expect(other.locator("#run-debugger .debugger-panel")).to_have_count(0)
    calls = rest(stage, "GET", f"runs/{run}/tool-calls")["items"]
    (changed,) = [call for call in calls if call["arguments"].get("path") == "n.md"]
    assert changed["state"] == "committed"
    assert "olga changed the arguments of this call" in changed["result"]
    (edit,) = rest(stage, "GET", f"runs/{run}/edits")["items"]
    assert (edit["edited_by_name"], edit["after"]["content"]) == ("olga", "Two.")


def test_a_second_step_with_what_was_seen_before_is_told_who_was_first(
    page: Page, stage: Stage, complaints: Complaints
) -> None:
    settings = {"step": "both"}
    asked = {"agent": "release-notes", "input": "Notes for 2.6.", "debug": settings}
    run = rest(stage, "POST", "runs", asked)["id"]
    visit(page, stage, run, "olga")
    expect(panel(page)).to_contain_text("Held before model call 1")
    version = rest(stage, "GET", f"runs/{run}/debug")["version"]
    rest(stage, "POST", f"runs/{run}/step", {"version": version})
    expect(panel(page)).to_contain_text("root stepped it")
    # As on a page that has not heard of it yet.
    page.locator("[data-debug=step]").evaluate(
        """(button, seen) => {
          button.closest("[data-debugger]").dataset.version = seen;
          button.click();
        }""",
        version,
    )
    expect(page.locator("#debugger-told")).to_contain_text("root stepped it")
    expect(panel(page)).to_contain_text("Held before 2 calls")
    refused(complaints, 409)


def test_what_happens_below_is_shown_while_the_run_itself_stands_still(
    page: Page, stage: Stage
) -> None:
    points = [{"kind": "agent", "value": "edit*"}]
    settings = {"step": "off", "scope": "tree", "breakpoints": points}
    asked = {"agent": "release-notes", "input": "Notes for 2.7.", "debug": settings}
    run = rest(stage, "POST", "runs", asked)["id"]
    _until_held_below(stage, run)
    visit(page, stage, run, "olga")
    expect(panel(page)).to_contain_text("Held below")

    def renamed(route: Route) -> None:
        body = route.fetch().text().replace("Held below", "Held somewhere below")
        route.fulfill(content_type="text/html", body=body)

    page.route(f"**/run/{run}/live/**", renamed)

    expect(panel(page)).to_contain_text("Held somewhere below")
    page.unroute_all(behavior="wait")
    rest(stage, "POST", f"runs/{run}/cancel", {})


def refused(complaints: Complaints, status: int) -> None:
    """The browser tells its console of every refusal; this one was meant."""
    (heard,) = complaints.heard
    assert f"status of {status}" in heard
    complaints.heard.clear()


def test_who_writes_while_another_changes_the_same_is_told_so(
    page: Page, other: Page, stage: Stage, complaints: Complaints
) -> None:
    """The panel behind an open sheet follows the run; what the sheet shows is older."""
    settings = {"step": "both", "scope": "run", "breakpoints": []}
    asked = {"agent": "release-notes", "input": "Notes for 2.6.", "debug": settings}
    run = rest(stage, "POST", "runs", asked)["id"]
    visit(page, stage, run, "olga")
    visit(other, stage, run, "root")
    expect(panel(page)).to_contain_text("Held before model call 1")
    page.keyboard.press("s")
    expect(panel(other)).to_contain_text("Held before 2 calls (todo, write)")

    other.get_by_role("button", name="Edit the arguments of write").click()
    editor = other.get_by_role("dialog")
    edited(page, complaints)
    expect(panel(other)).to_contain_text("olga changed the arguments of write")
    digits = "12345678901234567890"
    with other.expect_request("**/edits") as sent:
        editor.get_by_label("Arguments, a JSON object").fill(f'{{"path": "m.md", "n": {digits}}}')
        editor.get_by_role("button", name="Save the change").click()
    expect(editor.get_by_role("alert")).to_contain_text("olga changed the arguments of write")
    refused(complaints, 409)
    assert f'"n": {digits}' in (sent.value.post_data or ""), "a page has no such numbers"
    (edit,) = rest(stage, "GET", f"runs/{run}/edits")["items"]
    assert edit["edited_by_name"] == "olga"
    rest(stage, "POST", f"runs/{run}/cancel", {})


def _until_held_below(stage: Stage, run: str) -> None:
    """Say yes to whatever the run asks until a run it began is held."""
    for _ in range(300):
        if rest(stage, "GET", f"runs/{run}/debug")["held_below"]:
            return
        for item in rest(stage, "GET", "approvals?state=pending")["items"]:
            if item.get("run") == run:
                rest(stage, "POST", f"approvals/{item['id']}/decide", {"verdict": "approve"})
        time.sleep(0.1)
    raise AssertionError("no run below is held")


def _question(stage: Stage, run: str) -> str:
    for _ in range(300):
        items = rest(stage, "GET", "approvals?state=pending")["items"]
        found = [item["id"] for item in items if item.get("run") == run]
        if found:
            return str(found[0])
        time.sleep(0.1)
    raise AssertionError("nobody was asked")
