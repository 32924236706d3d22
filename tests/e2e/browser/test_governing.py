"""Policies and channels in a real browser: trying a draft, publishing it, sending a test."""

import re

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.e2e.browser.driver import page_open, sign_in
from tests.e2e.browser.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

BATCHES = re.compile("/try/batch/$")
MORE = """
<div id="try-summary" data-next="more"><p class="try-progress">Looked at 200 calls.
<progress max="100" value="5"></progress><button data-try-stop>Stop here</button></p></div>
<li data-into="try-newly_free">a call</li>
"""


def visit(page: Page, stage: Stage, place: str) -> None:
    page.goto(f"{stage.url}/admin/governance/{place}")


def test_a_draft_is_tried_on_past_calls_by_keys(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, f"policy/{stage.rows['policy']}/change/")
    expect(page.locator(".notice")).to_contain_text("publishing takes policy.publish")
    expect(page.get_by_role("link", name="Publish")).to_have_count(0)

    page.get_by_role("link", name="Try on past calls").press("Enter")
    page.get_by_role("button", name="Try the draft").press("Enter")

    blocked = page.locator('[data-change="newly_blocked"]')
    expect(blocked).not_to_have_text("0")
    expect(page.locator(".try-progress")).to_contain_text("all of the last 7 days")
    expect(page.locator("#try-newly_blocked li").first).to_contain_text("Echoes fill the ledger.")
    page.locator("#try-newly_asked li a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("write")


def test_a_reader_who_has_seen_enough_stops_it(page: Page, stage: Stage) -> None:
    """Answers are made up here: a stage has not as many calls as take a second batch."""
    asked: list[Route] = []
    seen: list[Request] = []

    def answer(route: Route) -> None:
        asked.append(route)
        if len(asked) == 1:  # the second is held until its reader has stopped
            route.fulfill(body=MORE, content_type="text/html")

    def is_second(request: Request) -> bool:
        seen.extend([request] if BATCHES.search(request.url) else [])
        return len(seen) == 2

    sign_in(page, stage, "olga")
    page.route(BATCHES, answer)
    with page.expect_request(is_second):
        visit(page, stage, f"policy/{stage.rows['policy']}/try/?days=7")
    page.get_by_role("button", name="Stop here").click()
    asked[1].fulfill(body=MORE, content_type="text/html")

    expect(page.locator(".try-progress")).to_contain_text("earlier calls were not looked at")
    expect(page.get_by_role("button", name="Stop here")).to_have_count(0)
    expect(page.locator("#try-newly_free li")).to_have_count(2)
    assert len(asked) == 2


def test_what_cannot_be_reached_is_said_and_tried_again(browser: Browser, stage: Stage) -> None:
    with page_open(browser) as page:
        sign_in(page, stage, "olga")
        page.route(BATCHES, lambda route: route.abort())
        visit(page, stage, f"policy/{stage.rows['policy']}/try/?days=1")

        expect(page.get_by_role("alert")).to_contain_text("could not all be looked at")
        page.unroute(BATCHES)
        page.get_by_role("button", name="Try again").click()
        expect(page.locator('[data-change="newly_blocked"]')).to_be_visible()
        expect(page.locator("#try-problem")).to_be_hidden()


def test_publishing_shows_what_changes_and_then_publishes_it(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "root")
    visit(page, stage, f"policy/{stage.rows['policy']}/change/")
    page.get_by_role("link", name="Publish …").click()

    expect(page.locator(".difference")).to_contain_text("no-echoes")
    expect(page.locator('[data-change="newly_blocked"]')).not_to_have_text("0")
    page.get_by_text("Ask it as a shadow", exact=True).click()
    page.get_by_label("Note").fill("Watch it first.")
    page.get_by_role("button", name="Publish what is shown here").click()

    expect(page.get_by_role("status")).to_contain_text("Version 3 is asked as a shadow.")
    expect(page.locator("#versions-title")).to_be_visible()


def test_a_channel_is_made_and_its_test_is_followed_to_its_outcome(
    page: Page, stage: Stage
) -> None:
    sign_in(page, stage, "root")
    visit(page, stage, "channel/add/")
    page.get_by_role("link", name="Webhook").click()
    page.get_by_label("Workspace").select_option(label="acme")
    page.get_by_label("Name").fill("deploys")
    page.get_by_label("Address").fill("http://127.0.0.1:9/in")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#channel-secret")).to_contain_text("whsec_")

    page.get_by_role("link", name="I have copied it").click()
    assert "whsec_" not in page.content()
    page.get_by_role("button", name="Send a test message").click()
    expect(page.locator("#deliveries")).to_contain_text("is a loopback address")

    page.get_by_role("link", name="Delete").click()
    expect(page.locator("#content")).to_contain_text("will not be")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_contain_text("deleted")
