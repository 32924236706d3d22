"""The list of runs by keyboard; a deed for all; errors; a live overview."""

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.browser.driver import overview, page_open, sign_in
from tests.e2e.browser.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

LIVE = "**/admin/live/"


def test_runs_are_found_chosen_and_paused_by_keys(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/agents/run/")
    page.get_by_role("link", name="failed", exact=True).press("Enter")
    expect(page.locator(".parts")).to_contain_text("state: failed")
    expect(page.locator("tr[data-run]")).not_to_have_count(0)
    assert "state=failed" in page.url

    page.goto(f"{stage.url}/admin/agents/run/")
    for key in ("j", "x", "j", "j", "Shift+X"):
        page.keyboard.press(key)
    expect(page.locator("#chosen-count")).to_have_text("3 chosen")
    page.get_by_role("button", name="Pause").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Pause 3 runs?")
    page.get_by_role("link", name="Leave them as they are").press("Enter")

    page.locator("tr[data-run]").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")


def test_a_filter_is_kept_and_offered(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/agents/run/?q=release")
    page.get_by_role("link", name="Save this filter").click()
    page.locator("#id_name").fill("Releases")
    page.get_by_role("button", name="Save", exact=True).click()

    page.goto(f"{stage.url}/admin/agents/run/")
    page.get_by_role("link", name="Releases").click()
    expect(page.get_by_role("searchbox", name="Search runs")).to_have_value("release")


def test_all_that_match_are_done_while_the_page_counts(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "root")
    page.goto(f"{stage.url}/admin/agents/run/?state=paused")
    page.get_by_role("link", name="Cancel all").click()
    page.get_by_role("button", name=re.compile("Cancel 1")).click()

    expect(page.locator("#bulk")).to_contain_text("1 done. That was all.")
    page.get_by_role("link", name="Back to the list").click()
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()


def test_errors_lead_to_the_runs_they_befell(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/errors/?source=run")
    page.locator(".cause-count").first.press("Enter")

    expect(page.locator("tr[data-run]")).not_to_have_count(0)
    expect(page.locator(".parts")).to_contain_text("error:")


def test_the_overview_changes_by_itself_and_says_when_it_cannot(
    browser: Browser, stage: Stage
) -> None:
    """On a page that may complain: the browser does of the answer that fails."""
    with page_open(browser) as page:
        overview(page, stage, "olga")
        page.evaluate("window.stayed = true")
        page.route(LIVE, lambda route: route.fulfill(content_type="text/html", body=changed(route)))
        running = page.locator('[data-part="figure-running"] .figure-value')
        expect(running).to_have_text("77")
        assert page.evaluate("window.stayed") is True

        page.unroute(LIVE)
        page.route(LIVE, lambda route: route.fulfill(status=502, body=""))
        expect(page.locator("#live-mark")).to_contain_text("Not up to date")
        expect(running).to_have_text("77")


def test_what_has_the_focus_on_the_overview_stays_until_it_is_left(
    page: Page, stage: Stage
) -> None:
    def renamed(route: Route) -> None:
        body = route.fetch().text().replace("Newest runs", "Runs of now")
        route.fulfill(content_type="text/html", body=body)

    overview(page, stage, "olga")
    title = page.locator("#newest-title")
    second = page.locator('[data-part="runs"] .run-rows a').nth(1)
    second.focus()
    with page.expect_response(LIVE):
        page.route(LIVE, renamed)
    with page.expect_response(LIVE):
        pass  # what the first said has been shown by now, if anything was

    expect(second).to_be_focused()
    expect(title).to_have_text("Newest runs")
    page.evaluate("document.activeElement.blur()")
    expect(title).to_have_text("Runs of now")


def test_the_cost_page_says_when_its_figures_are_out_of_date(
    browser: Browser, stage: Stage
) -> None:
    with page_open(browser) as page:
        sign_in(page, stage, "olga")
        page.clock.install()
        page.goto(f"{stage.url}/admin/cost/")
        page.route("**/admin/cost/part/**", lambda route: route.fulfill(status=502, body=""))
        page.clock.run_for(16_000)
        expect(page.locator("#live-mark")).to_contain_text("Not up to date")


def changed(route: Route) -> str:
    """Return what the site says, with another number of running runs."""
    return re.sub(
        r'(data-part="figure-running".*?figure-value">)[^<]*', r"\g<1>77",
        route.fetch().text(), count=1, flags=re.DOTALL,
    )  # fmt: skip
