"""Debian's chromium, told not to talk to anybody, and pages that remember what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page, Playwright

from tests.e2e.browser.stage import PASSWORD, Stage

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MILLISECONDS = 30_000
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

AXE = AXE_FILE_PATH.read_text(encoding="utf-8")
# Asked in the page: all that axe knows of a large page takes seconds to bring over.
FIND = """async ([rules, apart]) => {
  const exclude = apart.filter((each) => document.querySelector(each)).map((each) => [each]);
  const found = await axe.run({ exclude }, { resultTypes: ["violations"], ...rules });
  return found.violations
    .filter((each) => ["serious", "critical"].includes(each.impact))
    .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.target).join(" | ")}`);
}"""
ROUGH = Path(__file__).with_name("rough.js").read_text(encoding="utf-8")
# What a page is made of is the same in the dark; its colours are not.
RULES = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}

_sessions: dict[tuple[str, str], Any] = {}  # cookies, by site and user


def browser_open(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


@contextmanager
def page_open(
    browser: Browser, *, theme: str = "light", size: tuple[int, int] = (1440, 900)
) -> Iterator[Page]:
    """A page of its own, without cookies; the system's colours are `theme`."""
    context = browser.new_context(
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    try:
        yield context.new_page()
    finally:
        context.close()


def sign_in(page: Page, stage: Stage, username: str) -> None:
    """Sign in by the form the first time; a page that comes later goes on in that session, and
    shows nothing yet."""
    if kept := _sessions.get((stage.url, username)):
        page.context.add_cookies(kept)
        return
    page.goto(f"{stage.url}/admin/login/?next=/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{stage.url}/admin/")
    _sessions[stage.url, username] = page.context.cookies()


def overview(page: Page, stage: Stage, username: str) -> None:
    """Sign in and look at the first page."""
    sign_in(page, stage, username)
    page.goto(f"{stage.url}/admin/")


def serious(page: Page, theme: str = "light", *, apart: tuple[str, ...] = ()) -> list[str]:
    """Return the rules of WCAG the page breaks badly, each with the elements, of which those in
    `apart` (selectors) are left out."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE)
    return list(page.evaluate(FIND, [RULES[theme], apart]))


def rough(page: Page) -> list[str]:
    """Return the buttons that are too small to hit and the words that are cut off."""
    return list(page.evaluate(ROUGH))
