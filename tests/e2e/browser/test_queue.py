"""A hundred mixed questions in a real browser, answered by keys one after the other."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import desk
from tests.e2e.browser.driver import page_open, serious, sign_in
from tests.e2e.browser.stage import WORKSPACE, Stage, staged

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

# What is answered together: with which key, with which outcome, and what is shown to differ.
TOGETHER = {"ls": ("d", "denied", "folder-"), "write": ("a", "approved", "archive/")}
READY = '#question[data-question="{}"][data-ready="yes"]'


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("desk"), desk.MODULE) as running:
        yield running


def approvals(stage: Stage) -> dict[str, dict[str, Any]]:
    """What the site knows of each question, over REST."""
    found: dict[str, dict[str, Any]] = {}
    place = f"{stage.url}/api/v1/workspaces/{WORKSPACE}/approvals?limit=100"
    while place:
        headers = {"Authorization": f"Bearer {stage.token}"}
        with urllib.request.urlopen(urllib.request.Request(place, headers=headers)) as answer:
            page = json.load(answer)
        found |= {item["id"]: item for item in page["items"]}
        place = page.get("next") or ""
    return found


def visit(page: Page, stage: Stage, place: str = "") -> None:
    page.goto(f"{stage.url}/admin/approvals/{place}")


def shown(page: Page) -> str:
    """Wait until a question can be answered; return its id."""
    page.wait_for_selector('#question[data-ready="yes"]')
    return str(page.locator("#question").get_attribute("data-question"))


def left(page: Page, answered: str) -> None:
    """Wait until another question is there to be answered, or none."""
    page.wait_for_selector(
        f'#question[data-ready="yes"]:not([data-question="{answered}"]), #queue-nothing'
    )


def answer(page: Page, question: dict[str, Any]) -> dict[str, Any]:
    """Press what somebody would for this one; return what must come of it."""
    arguments, keys = question["arguments"], page.keyboard
    if question["kind"] == "in_doubt":
        keys.press("1")
        keys.press("y")
        return {"state": "approved", "choice": "happened"}
    match question["tool"], str(arguments.get("text", ""))[:4]:
        case "echo", "stop":
            keys.press("d")
            keys.insert_text("Not today.")
            keys.press("Control+Enter")
            return {"state": "denied", "reason": "Not today."}
        case "echo", "mend":
            keys.press("e")
            keys.press("Control+a")
            keys.insert_text('{"text": "mended"}')
            keys.press("Control+Enter")
            return {"state": "approved", "edited_arguments": {"text": "mended"}}
        case "pay", _:
            keys.press("a")
            keys.press("a" if arguments["amount"] % 2 else "y")
            return {"state": "approved", "edited_arguments": None}
        case _:
            keys.press("a")
            return {"state": "approved", "edited_arguments": None}


def answer_alike(page: Page, tool: str, count: int) -> dict[str, Any]:
    """Answer all that is asked like the open one; return what must come of each."""
    key, state, differing = TOGETHER[tool]
    page.keyboard.press("x")
    expect(page.locator("#alike")).to_have_attribute("data-count", str(count))
    expect(page.locator(".spreads")).to_contain_text(differing)
    page.keyboard.press(key)
    expect(page.locator("[data-sure-what]")).to_contain_text(f"{count} questions?")
    page.keyboard.press("y")
    expect(page.locator("#queue-said")).to_contain_text(f"{count} {state}.")
    return {"state": state}


def test_a_second_approver_is_seen_at_once_and_the_loser_is_told(
    browser: Browser, page: Page, stage: Stage
) -> None:
    """Olga reads while Nina denies; then both answer, and Olga's page has not heard of it yet."""
    with page_open(browser) as other:
        sign_in(page, stage, "olga")
        sign_in(other, stage, "nina")
        visit(page, stage, "?tool=write")
        first = shown(page)
        page.keyboard.press("j")
        page.wait_for_selector(f'#question[data-ready="yes"]:not([data-question="{first}"])')
        second = shown(page)
        focus = "document.activeElement.id"
        assert page.evaluate(focus) == f"row-{second}"

        visit(other, stage, f"{second}/")
        shown(other)
        other.keyboard.press("d")
        other.keyboard.insert_text("Wrong folder.")
        other.keyboard.press("Control+Enter")
        left(other, second)

        news = page.locator("[data-news-text]")
        expect(news).to_have_text("nina denied it. “Wrong folder.”")
        assert (shown(page), page.evaluate(focus)) == (second, f"row-{second}")
        page.keyboard.press("a")
        page.keyboard.press("k")
        page.wait_for_selector(READY.format(first))
        expect(page.locator(f'[data-row="{second}"]')).to_have_count(0)

        page.route("**/approvals/list/**", lambda route: route.fulfill(status=304))
        visit(other, stage, f"{first}/")
        shown(other)
        other.keyboard.press("a")
        left(other, first)
        page.keyboard.press("d")
        page.keyboard.press("Control+Enter")
        expect(news).to_contain_text("The approval is approved by nina.")
    known = approvals(stage)
    assert (known[first]["state"], known[first]["decided_by"]) == ("approved", "nina")
    assert (known[second]["state"], known[second]["decided_by"]) == ("denied", "nina")


def test_keys_that_go_to_other_pages_answer_nothing(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    visit(page, stage, "?tool=echo")
    question = shown(page)
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url("**/admin/agents/agent/")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/admin/approvals/**")
    visit(page, stage, f"{question}/")
    shown(page)
    page.keyboard.press("g")
    page.wait_for_url(f"**/{question}/grant/?from=queue")
    page.get_by_role("link", name="Leave it").click()
    page.wait_for_url(f"**/admin/approvals/{question}/")

    assert approvals(stage)[question]["state"] == "pending"


def test_a_question_is_accessible_and_fits_narrow_screens(browser: Browser, stage: Stage) -> None:
    """By fingers alone, where every yes is asked for twice; nothing is answered here."""
    found = {}
    with page_open(browser, size=(390, 844)) as page:
        sign_in(page, stage, "olga")
        visit(page, stage, "?tool=pay")
        page.locator(".queue-row").first.click()
        question = shown(page)
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("It cannot be undone.")).to_be_visible()
        found["narrow"] = serious(page, "light")
        wide = page.evaluate("document.documentElement.scrollWidth")
        page.get_by_role("button", name="Leave it").click()
        page.get_by_role("link", name="All questions").click()
        expect(page.locator(f"#row-{question}")).to_be_visible()
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="dark")
        page.keyboard.press("x")
        expect(page.locator("#alike")).to_be_visible()
        found["wide"] = serious(page, "dark")

    assert (found, wide) == ({"narrow": [], "wide": []}, 390)
    assert approvals(stage)[question]["state"] == "pending"


@pytest.mark.timeout(300)  # a hundred of them
def test_a_hundred_questions_are_cleared_by_keys(page: Page, stage: Stage) -> None:
    before = approvals(stage)
    waiting = {key for key, item in before.items() if item["state"] == "pending"}
    assert len(before) == desk.TOTAL
    sign_in(page, stage, "olga")
    visit(page, stage)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")

    expected: dict[str, dict[str, Any]] = {}
    while page.locator("#queue-nothing").count() == 0:
        question = shown(page)
        item = before[question]
        if item["tool"] in TOGETHER:
            alike = {key for key in waiting if before[key]["tool"] == item["tool"]}
            expected |= dict.fromkeys(alike, answer_alike(page, item["tool"], len(alike)))
        else:
            expected[question] = answer(page, item)
        left(page, question)

    after = approvals(stage)
    assert set(expected) == waiting
    wrong = {
        key: (after[key], wanted)
        for key, wanted in expected.items()
        if any(after[key][name] != value for name, value in wanted.items())
    }
    assert wrong == {}
    by = Counter(after[key]["decided_by"] for key in waiting)
    assert by == {"olga": len(waiting)}
    expect(page.locator("#queue-nothing")).to_contain_text("The queue is empty")
    assert page.title().startswith("Approvals")
