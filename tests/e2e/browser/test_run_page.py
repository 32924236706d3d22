"""The page of a run as people debug with it: waterfall, tool log, cost, checkpoints, comparing."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser.driver import page_open, serious, sign_in
from tests.e2e.browser.stage import Stage
from tests.e2e.browser.test_console import visit

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

TABS = ("calls", "steps", "checkpoints", "timeline")


def opened(page: Page, stage: Stage, run: str, tab: str) -> None:
    page.goto("about:blank")
    page.goto(f"{stage.url}/admin/agents/run/{stage.runs[run]}/change/#show={tab}")


def test_the_waterfall_is_walked_by_keys(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    opened(page, stage, "succeeded", "timeline")
    rows = page.locator("#timeline-rows .row-button")
    expect(rows).to_have_count(12)

    page.locator("#timeline-rows .row").first.locator("button").focus()
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    child = page.locator("#timeline-rows .row-button:focus")
    expect(child).to_have_attribute("aria-label", re.compile("^Run editor, succeeded"))
    expect(page.locator("#timeline-detail")).to_contain_text("2 model calls")
    page.keyboard.press("Space")
    expect(rows).to_have_count(15)
    expect(page.locator("#timeline-rows")).to_contain_text("view")

    before = page.locator("#axis").text_content()
    page.keyboard.press("z")
    expect(page.locator("#axis")).not_to_have_text(before or "")
    page.keyboard.press("0")
    expect(page.locator("#axis")).to_have_text(before or "")

    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tabpanel")).to_have_attribute("id", "conversation")
    expect(page.locator("#turn-1")).to_be_focused()


def test_the_map_of_the_timeline_is_drawn_and_follows_the_colours(page: Page, stage: Stage) -> None:
    """The trace comes right after the page does: what is drawn first has nothing in it yet."""
    drawn = """() => {
      const map = document.getElementById("minimap");
      if (!map.width) return "";
      const blank = document.createElement("canvas");
      [blank.width, blank.height] = [map.width, map.height];
      const now = map.toDataURL();
      return now === blank.toDataURL() ? "" : now;
    }"""
    sign_in(page, stage, "olga")
    opened(page, stage, "succeeded", "timeline")
    light = page.wait_for_function(drawn).json_value()
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        f"(light) => {{ const now = ({drawn})(); return now && now !== light; }}", arg=light
    )


def test_kinds_words_and_events_narrow_the_timeline(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    opened(page, stage, "succeeded", "timeline")
    rows = page.locator("#timeline-rows .row-button")
    expect(rows).to_have_count(12)

    page.get_by_role("button", name="Models").click()
    expect(rows).to_have_count(8)
    page.get_by_label("Find in the timeline").fill("write")
    expect(rows).to_have_count(2)
    page.get_by_label("Find in the timeline").fill("")
    page.get_by_role("button", name="Events").click()
    expect(page.locator("#timeline-rows .row").first).to_contain_text("run.created")
    page.get_by_label("Find in the timeline").fill("tool.planned")
    rows.first.click()
    expect(page.locator("#timeline-detail .json")).to_contain_text("todo")


def test_a_call_is_looked_into(page: Page, stage: Stage) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, stage, "olga")
    opened(page, stage, "succeeded", "calls")
    expect(page.locator("#calls-rows .row-button")).to_have_count(5)

    page.locator("#calls-search").fill("write")
    expect(page.locator("#calls-rows .row-button")).to_have_count(2)
    page.locator("#calls-rows .row-button").nth(1).click()
    detail = page.locator("#calls-detail")
    expect(detail.locator(".difference .is-added").first).to_contain_text("# 2.4")
    arguments = detail.locator(".json").first
    arguments.get_by_label("Find in Arguments").fill("max_iterations")
    expect(arguments).to_contain_text("1 found")
    expect(arguments.locator(".is-hit")).to_contain_text("rename `limits.steps`")
    arguments.get_by_role("button", name="Copy").click()
    expect(arguments.get_by_role("button", name="Copied")).to_be_visible()
    assert '"path": "draft.md"' in page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()

    visit(page, stage, stage.runs["succeeded"])
    page.get_by_role("button", name="Inspect this call of ls").click()
    expect(page.locator("#calls-detail h2")).to_have_text("ls")


def test_cost_and_checkpoints_are_told(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    opened(page, stage, "succeeded", "steps")
    expect(page.locator("#steps-rows .row-button")).to_have_count(4)
    expect(page.locator("#steps-totals")).to_contain_text("Tokens out459")

    page.get_by_role("tab", name="Checkpoints").click()
    page.get_by_role("button", name="Inspect checkpoint 10").click()
    state = page.locator("#state-detail")
    expect(state).to_contain_text("asked_position")
    state.get_by_role("button", name="draft.md").click()
    expect(state.locator("pre.block")).to_contain_text("can be forked from any checkpoint")


def test_a_fork_is_compared_with_its_origin(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/agents/run/{stage.runs['succeeded']}/fork/?checkpoint=3")
    page.get_by_role("button", name="Fork the run").click()
    expect(page.locator("#run-state .pill-word")).to_have_text("succeeded")

    page.get_by_role("link", name="Compare with origin").click()
    expect(page.locator(".compare-shared")).to_contain_text("The first 4 messages")
    expect(page.locator(".compare-totals")).to_contain_text("Tokens in")
    page.goto(
        f"{stage.url}/admin/agents/run/{stage.runs['succeeded']}/compare/{stage.runs['session']}/"
    )
    page.keyboard.press("n")
    page.keyboard.press("n")
    expect(page.locator("#compare-told")).to_have_text("Difference 2 of 5")
    expect(page.locator(".compare-step:focus h3")).to_have_text("Asks for todo, write")
    page.keyboard.press("p")
    expect(page.locator(".compare-step:focus h3")).to_have_text("Input")


def test_a_viewer_sees_the_waterfall_and_no_word_of_it(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "victor")
    opened(page, stage, "succeeded", "timeline")
    rows = page.locator("#timeline-rows .row-button")
    expect(rows).to_have_count(12)
    page.get_by_role("button", name="Events").click()
    expect(page.locator("#timeline-rows")).to_contain_text("tool.planned")
    assert "Breaking" not in page.content()
    assert "release notes for 2.4" not in page.content()


@pytest.mark.parametrize(
    ("theme", "size"), [("light", (1440, 900)), ("dark", (390, 844))], ids=["wide", "narrow"]
)
def test_every_part_is_accessible_and_fits(
    browser: Browser, stage: Stage, theme: str, size: tuple[int, int]
) -> None:
    found: dict[str, object] = {}
    with page_open(browser, theme=theme, size=size) as page:
        sign_in(page, stage, "root")
        for tab in TABS:
            opened(page, stage, "succeeded", tab)
            if tab == "calls":
                page.locator("#calls-rows .row-button").nth(1).click()
                page.locator("#calls-detail .json").first.wait_for()
            elif tab == "checkpoints":
                page.get_by_role("button", name="Inspect checkpoint 10").click()
                page.locator("#state-detail .json").wait_for()
            else:
                page.locator(f"#{tab} .row-button").first.wait_for()
            width = page.evaluate("document.documentElement.scrollWidth")
            found[tab] = (serious(page), width > size[0])
        page.goto(
            f"{stage.url}/admin/agents/run/{stage.runs['succeeded']}"
            f"/compare/{stage.runs['session']}/"
        )
        width = page.evaluate("document.documentElement.scrollWidth")
        found["compare"] = (serious(page), width > size[0])
    assert found == dict.fromkeys([*TABS, "compare"], ([], False))
