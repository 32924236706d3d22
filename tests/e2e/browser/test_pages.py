"""Every page of the console: accessible, as wide as its screen, true to its policy, known here."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser.conftest import Complaints
from tests.e2e.browser.driver import overview, rough, serious, sign_in
from tests.e2e.browser.places import places
from tests.e2e.browser.scenes import SCENES
from tests.e2e.browser.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

OTHERS = ("/docs/reference/problems",)
# The same on every page, and looked at on the first that has it.
FRAME = ("#nav-sidebar", ".topbar")


def visited(page: Page, stage: Stage) -> Iterator[str]:
    page.goto(f"{stage.url}/admin/login/")
    yield "/admin/login/"
    sign_in(page, stage, "root")
    for address in (*places(stage).values(), *OTHERS):
        page.goto("about:blank")  # an address that differs in its # alone is no visit
        page.goto(f"{stage.url}{address}")
        yield address


def test_every_page_of_the_sidebar_is_walked(page: Page, stage: Stage) -> None:
    overview(page, stage, "root")
    links = page.locator("#nav-sidebar a").evaluate_all("all => all.map(a => a.pathname)")
    known = {address.partition("?")[0].partition("#")[0] for address in places(stage).values()}

    assert len(links) > 20
    assert set(links) - known == set()


ROUGH = """
<p><button style="font-size: 6px; padding: 0">tiny</button></p>
<p style="width: 4rem; height: 1rem; overflow: hidden; white-space: nowrap">words nobody reads</p>
<p style="width: 3rem; overflow-wrap: anywhere">indivisible</p>
<p><input name="narrow" style="font-size: 13px"></p>
<div class="card" style="width: 9rem; overflow: auto">
<table><td style="min-width: 20rem">far</table></div>
"""


def test_what_is_rough_is_found(page: Page) -> None:
    page.set_content(ROUGH)
    kinds = [each.partition(":")[0] for each in rough(page)]
    assert sorted(kinds) == ["chopped", "cut off", "small"]

    page.set_viewport_size({"width": 390, "height": 900})
    kinds = [each.partition(":")[0] for each in rough(page)]
    on_phones = ["wider than its place", "zoomed in to"]
    assert sorted(kinds) == ["chopped", "cut off", "small", *on_phones]


OPENED = (
    "documents-preview",
    "runs-finder",
    "call-inspected",
    "timeline-events",
    "trace-conversation",
)


def test_what_a_hand_opens_on_a_phone_is_sound(page: Page, stage: Stage) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in(page, stage, "root")
    found = {}
    for name in OPENED:
        SCENES[name](page, stage)
        found[name] = rough(page)
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            found[name].append("is wider than 390 pixels")
    assert found == {name: [] for name in OPENED}


@pytest.mark.timeout(600)  # there are many of them
def test_every_page_is_sound(page: Page, stage: Stage, complaints: Complaints) -> None:
    """It breaks no policy, fits its screen uncut, and anybody can use it, in the dark too."""
    found: dict[str, list[str]] = {}
    is_frame_seen = False
    for address in visited(page, stage):
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        wrong = found.setdefault(address, [])
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append(f"is wider than {width} pixels")
            wrong += [f"{width}: {each}" for each in rough(page)]
        wrong += complaints.heard
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            apart = FRAME if is_frame_seen else ()
            wrong += [f"{theme}: {rule}" for rule in serious(page, theme, apart=apart)]
        is_frame_seen |= page.locator(FRAME[0]).count() > 0
        page.emulate_media(color_scheme="light")
        complaints.heard.clear()  # what looks for mistakes writes styles into the page
    assert {address: wrong for address, wrong in found.items() if wrong} == {}
