from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.e2e.browser.driver import CHROMIUM, PATIENCE_MILLISECONDS, browser_open, page_open
from tests.e2e.browser.stage import Stage, copied, staged


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaints:
    """What a page complained of: console errors, exceptions, its policy, other hosts asked."""

    heard: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        # Functions, not methods: Playwright leaves marks on the object a method belongs to.
        heard = self.heard

        def console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"} or "Content Security Policy" in message.text:
                heard.append(f"{message.type}: {message.text}")

        def exception(error: Error) -> None:
            heard.append(f"exception: {error}")

        def request(asked: Request) -> None:
            host = urlsplit(asked.url).hostname
            if host not in {None, "127.0.0.1"}:
                heard.append(f"asks another host: {asked.url}")

        page.on("console", console)
        page.on("request", request)
        page.on("pageerror", exception)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that happened on the stage, and nobody on it."""
    folder = tmp_path_factory.mktemp("played")
    with staged(folder):
        return folder


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, played: Path) -> Iterator[Stage]:
    with staged(copied(played, tmp_path_factory.mktemp("stage") / "copy")) as running:
        yield running


@pytest.fixture(autouse=True, scope="session")
def _patient_expectations() -> None:
    """Playwright's own five seconds are short for a machine that has other things to do."""
    expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing; install Debian's package chromium.")
    with sync_playwright() as playwright:
        opened = browser_open(playwright)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, complaints: Complaints) -> Iterator[Page]:
    """A page that must not complain of anything."""
    with page_open(browser) as opened:
        complaints.listen(opened)
        yield opened
    assert complaints.heard == []
