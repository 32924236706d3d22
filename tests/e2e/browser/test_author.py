"""The author's day in a real browser, and a list of runs that is longer than a page keeps."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import workshop
from tests.e2e.browser.driver import serious, sign_in
from tests.e2e.browser.stage import Stage, staged

pytestmark = [
    pytest.mark.browser,
    pytest.mark.sqlite,
    pytest.mark.slow,
    pytest.mark.timeout(300),  # with the stage it begins with
]

FIRST = "prompt: Say it in one sentence.\nmodel: benched\ntools: [write]\n"
SECOND = FIRST.replace("one sentence", "two sentences")
PATIENCE_SECONDS = 30.0
KEPT_ROWS = 8 * 50  # of the list's script; one page more while it comes
FOOT_IS_SEEN = "document.getElementById('runs-foot').getBoundingClientRect().top < innerHeight"
LEAVE = "document.activeElement.blur()"  # rows under somebody's fingers are kept


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("workshop"), workshop.MODULE) as running:
        yield running


def test_an_author_makes_publishes_starts_and_forks_and_that_is_all(
    page: Page, stage: Stage
) -> None:
    sign_in(page, stage, "nina")
    agent = _makes_an_agent(page, stage)
    _publishes_a_second_version(page)
    origin = _starts(page, agent, "Sum the meeting up.")
    expect(page.locator("#run-state .pill-word")).to_have_text("succeeded")
    expect(page.locator("#conversation-body")).to_contain_text("In short: all agreed.")
    _forks(page, origin)

    _starts(page, agent, "Put it into the archive.")
    expect(page.locator("#run-state .pill-word")).to_contain_text("waiting")
    _may_not_decide_about_the_own_call(page, stage)
    _may_not_spend_more(page, stage)
    _may_not_rule(page, stage)


def _makes_an_agent(page: Page, stage: Stage) -> str:
    """Make an agent with a first draft and publish it; return the address of its page."""
    page.goto(f"{stage.url}/admin/agents/agent/")
    page.locator("#content a[href$='/agents/agent/add/']").first.click()
    page.locator("#id_name").fill("summariser")
    page.get_by_label("Description").fill("Says what was agreed.")
    page.get_by_label("First draft").fill(FIRST)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator("#versions-title")).to_be_visible()
    agent = page.url
    expect(page.get_by_role("link", name="Start a run")).to_have_count(0)

    page.get_by_role("button", name="Edit the draft").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status")).to_contain_text("ummariser v1 is published.")
    assert serious(page) == []
    page.goto(agent)
    return agent


def _publishes_a_second_version(page: Page) -> None:
    page.get_by_role("button", name="New draft").click()
    page.get_by_label("Specification").fill(SECOND)
    page.get_by_label("Note").fill("Two are clearer.")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".difference")).to_contain_text("Say it in two sentences.")
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_role("status")).to_contain_text("ummariser v2 is published.")


def _starts(page: Page, agent: str, text: str) -> str:
    page.goto(agent)
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("Input").fill(text)
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/admin/agents/run/*/change/")
    return page.url


def _forks(page: Page, origin: str) -> None:
    page.get_by_role("tab", name="Checkpoints").click()
    page.get_by_role("link", name="Fork from checkpoint 1", exact=True).click()
    page.get_by_label("Message").fill("Shorter, please.")
    page.get_by_role("button", name="Fork the run").click()
    expect(page.locator("#run-facts")).to_contain_text("checkpoint 1")
    expect(page.locator("#run-state .pill-word")).to_have_text("succeeded")
    assert page.url != origin


def _may_not_decide_about_the_own_call(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.url}/admin/approvals/?show=all")
    question = page.locator("#question")
    expect(question).to_contain_text("summariser wants to call write")
    expect(question).to_have_attribute("data-open", "no")
    expect(page.get_by_role("button", name=re.compile("Approve|Deny"))).to_have_count(0)
    place = f"{stage.url}/admin/approvals/{question.get_attribute('data-question')}/decide/"
    seen = str(question.get_attribute("data-seen"))
    _post(page, place, verdict="approve", seen=seen)
    page.reload()
    expect(question).to_have_attribute("data-state", "pending")


def _may_not_spend_more(page: Page, stage: Stage) -> None:
    budget = f"{stage.url}/admin/governance/budget/{stage.rows['budget']}"
    page.goto(f"{budget}/change/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("everything")
    expect(page.locator(".budget-raise")).to_have_count(0)
    assert _post(page, f"{budget}/raise/", by_usd="50") == 403
    assert page.request.get(f"{stage.url}/admin/governance/budget/add/").status == 403


def _may_not_rule(page: Page, stage: Stage) -> None:
    policy = f"{stage.url}/admin/governance/policy/{stage.rows['policy']}"
    page.goto(f"{policy}/change/")
    expect(page.locator(".notice").first).to_contain_text("publishing takes policy.publish")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("link", name="Publish")).to_have_count(0)
    assert page.request.get(f"{policy}/publish/").status == 403
    assert page.request.get(f"{stage.url}/admin/governance/policy/add/").status == 403


def _post(page: Page, address: str, **fields: str | float | bool) -> int:
    """Post what a page does not offer, as somebody with tools would."""
    cookies = {each["name"]: each["value"] for each in page.context.cookies()}
    token = next(value for name, value in cookies.items() if "csrf" in name)
    headers = {"X-CSRFToken": token, "Referer": address}
    return page.request.post(address, form=fields, headers=headers, max_redirects=0).status


def test_more_runs_than_a_page_keeps_are_scrolled_to_the_end_by_keys(
    page: Page, stage: Stage
) -> None:
    sign_in(page, stage, "root")
    page.goto(f"{stage.url}/admin/agents/run/?workspace=other")
    rows = page.locator("tr[data-run]")
    expect(rows).to_have_count(50)
    assert rows.first.get_attribute("data-run") == stage.runs["newest"]
    for key in ("j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#chosen-count")).to_have_text("1 chosen")
    page.evaluate(LEAVE)

    most, pages = 0, 0
    oldest = page.locator(f"tr[data-run='{stage.runs['oldest']}']")
    while not oldest.count():
        pressed(page, "End", _more_than(page.locator("#result_list tbody").count(), page))
        most, pages = max(most, rows.count()), pages + 1
        assert pages < workshop.MANY
    pressed(page, "End", lambda: page.evaluate(FOOT_IS_SEEN))

    assert page.locator("#result_list tbody").count() == -(-workshop.MANY // 50)
    assert 50 < most <= KEPT_ROWS + 50
    expect(page.locator("#runs-next")).to_have_count(0)
    expect(page.locator(f"tr[data-run='{stage.runs['newest']}']")).to_have_count(0)
    expect(page.locator("#chosen-count")).to_have_text("1 chosen")
    oldest.locator(".action-select").check()
    page.get_by_role("button", name="Compare two").click()
    expect(page).to_have_url(re.compile(f"{stage.runs['newest']}|{stage.runs['oldest']}"))


def pressed(page: Page, key: str, is_there: Callable[[], bool]) -> None:
    """Press a key as often as a person would: a browser that is about to draw rows that came goes
    where the end was before."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_there():
        assert time.monotonic() < end, f"{key} leads nowhere"
        page.keyboard.press(key)
        page.wait_for_timeout(50)


def _more_than(count: int, page: Page) -> Callable[[], bool]:
    return lambda: page.locator("#result_list tbody").count() > count


def test_what_was_let_go_comes_back_as_it_was(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "root")
    page.goto(f"{stage.url}/admin/agents/run/?workspace=other")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    page.evaluate(LEAVE)
    newest = page.locator(f"tr[data-run='{stage.runs['newest']}']")
    while newest.count():
        pressed(page, "End", _more_than(page.locator("#result_list tbody").count(), page))

    pressed(page, "Home", newest.is_visible)
    expect(newest.locator(".action-select")).to_be_checked()
    expect(page.locator("tr[data-run] .action-select:checked")).to_have_count(2)
    expect(page.locator("#chosen-count")).to_have_text("2 chosen")
