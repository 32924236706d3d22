"""Debian's chromium, told not to talk to anybody, and pages that remember what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    page.goto(f"{stage.url}/admin/login/?next=/admin/")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{stage.url}/admin/")
