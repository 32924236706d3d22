"""Take pictures of every page of the console: light and dark, wide and narrow.

    python -m scripts.screenshots            # all of them into .run/screenshots
    python -m scripts.screenshots run login  # only these pages

Those of `DOCUMENTED` go to docs/images as well. Needs Debian's chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.browser import desk
from tests.e2e.browser.driver import browser_open, page_open, sign_in
from tests.e2e.browser.places import places
from tests.e2e.browser.scenes import SCENES
from tests.e2e.browser.stage import Stage, staged

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / ".run" / "screenshots"
IMAGES = ROOT / "docs" / "images"
# The pictures that the documentation shows: colours, page or scene, file.
DOCUMENTED = (
    ("light", "run", "run.png"),
    ("dark", "timeline-opened", "run-dark.png"),
    ("light", "cost", "cost.png"),
    ("dark", "overview", "overview-dark.png"),
    ("light", "held", "debugger.png"),
    ("light", "budgets", "budgets.png"),
    ("dark", "trace-file", "trace.png"),
)
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}


def take(browser: Browser, stage: Stage, wanted: list[str]) -> int:
    taken = 0
    for theme in ("light", "dark"):
        for width, size in WIDTHS.items():
            with page_open(browser, theme=theme, size=size) as page:
                if not wanted or "login" in wanted:
                    page.goto(f"{stage.url}/admin/login/")
                    page.screenshot(path=TARGET / f"login-{width}-{theme}.png")
                    taken += 1
                sign_in(page, stage, "root")
                for name, address in places(stage).items():
                    if wanted and name not in wanted:
                        continue
                    page.goto("about:blank")  # an address that differs in its # alone is no visit
                    page.goto(f"{stage.url}{address}")
                    if name == "run-live":
                        page.wait_for_timeout(1500)
                    page.wait_for_load_state("networkidle" if "live" not in name else "load")
                    page.screenshot(path=TARGET / f"{name}-{width}-{theme}.png", full_page=True)
                    taken += 1
                taken += _scenes(page, stage, wanted, f"{width}-{theme}")
    return taken


def _scenes(page: Page, stage: Stage, wanted: list[str], ending: str) -> int:
    chosen = {name: scene for name, scene in SCENES.items() if not wanted or name in wanted}
    for name, scene in chosen.items():
        scene(page, stage)
        page.screenshot(path=TARGET / f"{name}-{ending}.png")
    return len(chosen)


def main() -> None:
    wanted = sys.argv[1:]
    TARGET.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="agentry-pictures-") as folder,
        staged(Path(folder)) as stage,
        sync_playwright() as playwright,
    ):
        browser = browser_open(playwright)
        _for_documentation(browser, stage, wanted)  # before scenes fill the lists with their runs
        taken = take(browser, stage, wanted)
        if not wanted or "queue" in wanted:
            _of_the_queue(browser)
        browser.close()
    print(f"{taken} pictures in {TARGET.relative_to(ROOT)}")


def _for_documentation(browser: Browser, stage: Stage, wanted: list[str]) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for theme, place, name in DOCUMENTED:
        if wanted and place not in wanted:
            continue
        with page_open(browser, theme=theme, size=(1440, 900)) as page:
            sign_in(page, stage, "root")
            if place in SCENES:
                SCENES[place](page, stage)
            else:
                page.goto(f"{stage.url}{places(stage)[place]}")
                page.wait_for_load_state("networkidle")
            page.screenshot(path=TARGET / name)
            shutil.copyfile(TARGET / name, IMAGES / name)


def _of_the_queue(browser: Browser) -> None:
    """A stage of its own: many questions, of which one has been answered."""
    with (
        tempfile.TemporaryDirectory(prefix="agentry-pictures-") as folder,
        staged(Path(folder), desk.MODULE) as stage,
        page_open(browser, size=(1440, 900)) as page,
    ):
        sign_in(page, stage, "olga")
        page.goto(f"{stage.url}/admin/approvals/?tool=pay")
        page.wait_for_selector('#question[data-ready="yes"]')
        page.keyboard.press("a")
        page.keyboard.press("y")
        page.get_by_text("Approved: ").wait_for()
        page.goto(f"{stage.url}/admin/approvals/")
        page.wait_for_selector('#question[data-ready="yes"]')
        page.screenshot(path=TARGET / "queue.png")
        shutil.copyfile(TARGET / "queue.png", IMAGES / "queue.png")


if __name__ == "__main__":
    main()
