"""The console in a real browser: signing in, watching a run live, acting on it, keys, colours."""

import json
import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser.driver import overview, page_open, sign_in
from tests.e2e.browser.stage import WORKSPACE, Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]


def start(stage: Stage, agent: str, text: str) -> str:
    """Start a run over REST, as a program would; return its id."""
    request = urllib.request.Request(
        f"{stage.url}/api/v1/workspaces/{WORKSPACE}/runs",
        data=json.dumps({"agent": agent, "input": text}).encode(),
        headers={
            "Authorization": f"Bearer {stage.token}",
            "Content-Type": "application/json",
        },
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        document: dict[str, Any] = json.load(answer)
    return str(document["id"])


def visit(page: Page, stage: Stage, run: str) -> None:
    page.goto(f"{stage.url}/admin/agents/run/{run}/change/")


def shown_state(page: Page) -> Any:
    return page.locator("#run-state .pill-word")


def test_signing_in_with_a_wrong_password_says_so(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.url}/admin/")
    expect(page.get_by_label("Username")).to_be_focused()
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")


def test_a_run_is_watched_live_to_its_end(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    run = start(stage, "release-notes", "Write the notes for 2.5.")
    visit(page, stage, run)
    page.evaluate("window.stayed = true")

    expect(shown_state(page)).to_have_text("succeeded")
    expect(page.locator("#conversation-body")).to_contain_text("Here are the notes for 2.4")
    expect(page.locator("#conversation-body .call").first).to_contain_text("todo")
    expect(page.locator("#run-family")).to_contain_text("editor")
    expect(page.locator("#count-calls")).to_have_text("5")
    expect(page.get_by_role("button", name="Replay")).to_be_visible()
    assert page.evaluate("window.stayed") is True, "the page was loaded again"


def test_tabs_that_were_out_of_sight_while_a_run_ended_have_its_end(
    page: Page, stage: Stage
) -> None:
    sign_in(page, stage, "olga")
    run = start(stage, "release-notes", "Write the notes for 2.6.")
    visit(page, stage, run)
    page.get_by_role("tab", name="Timeline").click()
    expect(shown_state(page)).to_have_text("succeeded")

    page.get_by_role("tab", name="Checkpoints").click()
    written = page.locator("#count-checkpoints").inner_text()
    expect(page.locator("#checkpoints tbody tr")).to_have_count(int(written))
    page.get_by_role("tab", name="Conversation").click()
    expect(page.locator("#conversation-body")).to_contain_text("Here are the notes for 2.4")


def test_a_run_is_started_from_the_page_of_its_agent_by_keys(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/agents/agent/{stage.rows['agent']}/change/")
    page.get_by_role("link", name="Start a run").press("Enter")

    expect(page.get_by_label("Agent", exact=True)).to_have_value(stage.rows["agent"])
    expect(page.get_by_label("Input")).to_be_focused()
    page.get_by_role("button", name="Start the run").press("Enter")
    expect(page.locator(".field.errors")).to_contain_text("Say what the agent shall do.")
    page.get_by_label("Input").fill("Start from here.")
    page.get_by_role("button", name="Start the run").press("Enter")

    page.wait_for_url("**/admin/agents/run/*/change/")
    expect(page.locator("#conversation")).to_contain_text("Start from here.")
    expect(page.locator("#run-facts")).to_contain_text("console")


def test_words_appear_while_the_model_writes(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, start(stage, "inbox-triage", "Sort it."))

    expect(page.locator("#writing-text")).to_contain_text("nine new messages")
    expect(page.locator("#link-state")).to_have_text("live")


def test_sockets_are_opened_to_the_pages_own_host_only(browser: Browser, stage: Stage) -> None:
    """On a page that may complain: that it does is what is looked for. The test above has a live
    page, so the site's own socket is allowed."""
    with page_open(browser) as page:
        overview(page, stage, "root")
        blocked = page.evaluate(
            """() => new Promise((resolve) => {
                const tell = (event) => resolve(`${event.effectiveDirective} ${event.blockedURI}`);
                document.addEventListener("securitypolicyviolation", tell, { once: true });
                try { new WebSocket("ws://127.0.0.1:9/"); } catch (error) { return error; }
            })"""
        )

    assert blocked.startswith("connect-src ws://127.0.0.1:9")


@pytest.mark.parametrize("size", [(1440, 640), (390, 640)], ids=["wide", "narrow"])
def test_a_reader_at_the_end_is_taken_along_and_any_other_left_alone(
    browser: Browser, stage: Stage, size: tuple[int, int]
) -> None:
    with page_open(browser, size=size) as page:
        sign_in(page, stage, "olga")
        visit(page, stage, start(stage, "inbox-triage", "Sort it while I read."))
        calls = page.locator("#count-calls")
        expect(calls).to_have_text("4", timeout=30_000)
        expect(page.locator("#conversation .turn:visible").last).to_be_in_viewport()
        assert page.evaluate("scrollY") > 0

        page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        expect(calls).not_to_have_text("4", timeout=30_000)
        assert page.evaluate("scrollY") == 0
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("button", name="Cancel the run").click()


def test_tabs_are_reached_by_keys_and_stay_in_sight(browser: Browser, stage: Stage) -> None:
    with page_open(browser, size=(390, 844)) as page:
        sign_in(page, stage, "olga")
        visit(page, stage, stage.runs["succeeded"])
        page.get_by_role("tab", name="Conversation").focus()
        page.keyboard.press("End")

        timeline = page.get_by_role("tab", name="Timeline")
        expect(timeline).to_be_focused()
        expect(timeline).to_be_in_viewport(ratio=0.95)
        page.reload()
        expect(page.get_by_role("tabpanel")).to_have_attribute("id", "timeline")
        expect(timeline).to_be_in_viewport(ratio=0.95)


def test_pause_resume_and_cancel_from_the_page(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, start(stage, "inbox-triage", "Sort it slowly."))
    expect(shown_state(page)).to_have_text("running")

    page.get_by_role("button", name="Pause").click()
    expect(shown_state(page)).to_have_text("paused")
    expect(page.locator("#run-why")).to_contain_text("Paused")

    page.get_by_role("button", name="Resume").click()
    expect(shown_state(page)).to_have_text("running")

    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel this run?")
    page.get_by_label("Reason").fill("Enough for today.")
    page.get_by_role("button", name="Cancel the run").click()
    expect(shown_state(page)).to_have_text("cancelled")
    expect(page.locator("#run-why")).to_contain_text("Cancelled by olga: Enough for today.")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_a_fork_starts_from_the_chosen_checkpoint(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, stage.runs["succeeded"])

    page.get_by_role("tab", name="Checkpoints").click()
    page.get_by_role("link", name="Fork from checkpoint 1", exact=True).click()
    expect(page.get_by_label("Checkpoint")).to_have_value("1")
    page.get_by_label("Model", exact=True).select_option("quick")
    page.get_by_role("button", name="Fork the run").click()

    expect(page.locator("#run-facts")).to_contain_text("checkpoint 1")
    expect(shown_state(page)).to_have_text("succeeded")
    assert stage.runs["succeeded"] not in page.url


def test_a_call_in_doubt_is_settled_and_its_run_goes_on(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, stage.runs["doubtful"])
    expect(page.locator("#run-why")).to_contain_text("may or may not have happened")

    page.get_by_role("link", name="Say what happened").click()
    page.get_by_role("link", name="Say what happened").click()
    page.get_by_text("It happened", exact=True).click()
    page.get_by_label("Result", exact=True).fill("Sent at 9:02.")
    page.get_by_role("button", name="Settle the call").click()
    expect(page.locator(".subtitle .pill-word")).to_have_text(["committed", "no sandbox"])

    visit(page, stage, stage.runs["doubtful"])
    expect(shown_state(page)).to_have_text("succeeded")


def test_the_keyboard_is_enough(page: Page, stage: Stage) -> None:
    overview(page, stage, "olga")

    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/admin/agents/run/")
    page.keyboard.press("/")
    expect(page.locator("#searchbar")).to_be_focused()
    page.keyboard.type("translator")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=translator*")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("translator")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()


def test_chosen_colours_stay(page: Page, stage: Stage) -> None:
    overview(page, stage, "olga")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)

    button = page.get_by_role("button", name=re.compile("^Colours:"))
    button.click()
    button.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.evaluate(background)
    page.reload()

    assert page.evaluate(background) == dark != light


def test_a_viewer_reads_states_and_nothing_else(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "victor")
    visit(page, stage, stage.runs["succeeded"])

    expect(shown_state(page)).to_have_text("succeeded")
    expect(page.locator("#conversation")).to_contain_text("What was said is hidden")
    assert "release notes for 2.4" not in page.content()
    expect(page.locator(".run-deeds .button")).to_have_text(["History"])


def test_anything_is_found_and_reached_from_anywhere_by_keys(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/plugins/toolcall/")
    page.keyboard.press("Control+k")
    words = page.get_by_role("combobox")
    expect(words).to_be_focused()

    words.fill(stage.runs["failed"][:13])
    expect(page.get_by_role("option")).to_contain_text(["translator"])
    words.fill("relea")
    expect(page.get_by_role("option").first).to_contain_text("release-notes")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()

    page.keyboard.press("Control+k")
    words.fill("run")
    expect(page.locator("[role=option][aria-selected=true]")).to_contain_text("Runs")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/agents/run/")


def test_letters_are_chosen_on_ones_own_page(page: Page, stage: Stage) -> None:
    overview(page, stage, "olga")
    page.get_by_role("link", name="Your profile").click()
    page.get_by_label("A run failed, in acme").check()
    page.get_by_role("button", name="Keep these").click()

    expect(page.get_by_role("status")).to_contain_text("is kept")
    expect(page.get_by_label("A run failed, in acme")).to_be_checked()


def test_the_heat_of_cost_is_read_by_keys_and_its_address_shared(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/cost/?period=30d")
    detail = page.locator("#heat-agents-detail")
    expect(page.get_by_role("heading", name="Agents by hour of the day")).to_be_visible()

    page.locator("table[aria-describedby=heat-agents-detail] [tabindex='0']").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(detail).to_contain_text("inbox-triage, 23–00 h: $")
    assert page.locator("table[data-heat] [tabindex='0']").count() == 2, "one stop for each table"

    with page.expect_download() as copied:
        page.get_by_role("link", name="CSV").click()
    assert copied.value.suggested_filename == "cost-30d.csv"
    page.locator(".segments").get_by_role("link", name="Tokens").click()
    expect(page).to_have_url(re.compile(r"measure=tokens"))
    page.evaluate("document.activeElement.blur()")
    page.clock.install()
    page.reload()
    with page.expect_response(re.compile("/admin/cost/part/")) as renewed:
        page.clock.run_for(16_000)
    assert renewed.value.ok
    expect(page.get_by_role("heading", name="Tokens by day")).to_be_visible()
