"""Take pictures of every page of the console: light and dark, wide and narrow.

    python -m scripts.screenshots            # all of them into .run/screenshots
    python -m scripts.screenshots run login  # only these pages

Those of a finished run go to docs/images as well. Needs Debian's chromium.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.e2e.browser.driver import browser_open, page_open, sign_in
from tests.e2e.browser.stage import Stage, staged

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / ".run" / "screenshots"
IMAGES = ROOT / "docs" / "images"
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}


def pages(stage: Stage) -> dict[str, str]:
    """Return the address of every page by the name of its picture."""
    runs, rows = stage.runs, stage.rows
    run = f"/admin/agents/run/{runs['succeeded']}/change/"
    return {
        "overview": "/admin/",
        "runs": "/admin/agents/run/",
        "run": run,
        "run-calls": f"{run}#show=calls",
        "run-checkpoints": f"{run}#show=checkpoints",
        "run-timeline": f"{run}#show=timeline",
        "run-live": f"/admin/agents/run/{runs['running']}/change/",
        "run-yielded": f"/admin/agents/run/{runs['yielded']}/change/",
        "run-doubtful": f"/admin/agents/run/{runs['doubtful']}/change/",
        "run-failed": f"/admin/agents/run/{runs['failed']}/change/",
        "run-fork": f"/admin/agents/run/{runs['succeeded']}/fork/?checkpoint=2",
        "run-resume": f"/admin/agents/run/{runs['yielded']}/resume/",
        "run-cancel": f"/admin/agents/run/{runs['waiting']}/cancel/",
        "calls": "/admin/plugins/toolcall/",
        "call": f"/admin/plugins/toolcall/{rows['call']}/change/",
        "call-resolve": f"/admin/plugins/toolcall/{rows['call']}/resolve/",
        "sessions": "/admin/agents/session/",
        "session": f"/admin/agents/session/{rows['session']}/change/",
        "agents": "/admin/agents/agent/",
        "agent": f"/admin/agents/agent/{rows['agent']}/change/",
        "agent-new": "/admin/agents/agent/add/",
        "version-draft": f"/admin/agents/agentversion/{rows['draft']}/change/",
        "version": f"/admin/agents/agentversion/{rows['version']}/change/",
        "versions": "/admin/agents/agentversion/",
        "agent-history": f"/admin/agents/agent/{rows['agent']}/history/",
        "providers": "/admin/agents/provider/",
        "provider-new": "/admin/agents/provider/add/",
        "models": "/admin/agents/model/",
        "model-new": "/admin/agents/model/add/",
        "routes": "/admin/agents/modelroute/",
        "tools": "/admin/plugins/tooldefinition/",
        "tool-new": "/admin/plugins/tooldefinition/add/",
        "users": "/admin/governance/user/",
        "user-new": "/admin/governance/user/add/",
        "workspaces": "/admin/governance/workspace/",
        "members": "/admin/governance/membership/",
        "member-new": "/admin/governance/membership/add/",
        "roles": "/admin/governance/role/",
        "role-new": "/admin/governance/role/add/",
        "tokens": "/admin/governance/apitoken/",
        "token-new": "/admin/governance/apitoken/add/",
        "activity": "/admin/auditlog/logentry/",
        "workers": "/admin/agents/worker/",
        "events": "/admin/observability/traceevent/",
        "messages": "/admin/agents/message/",
        "checkpoints": "/admin/agents/checkpoint/",
        "snapshots": "/admin/agents/runsnapshot/",
        "texts": "/admin/observability/blob/",
        "password": "/admin/password_change/",
    }


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
                for name, address in pages(stage).items():
                    if wanted and name not in wanted:
                        continue
                    page.goto("about:blank")  # an address that differs in its # alone is no visit
                    page.goto(f"{stage.url}{address}")
                    if name == "run-live":
                        page.wait_for_timeout(1500)
                    page.screenshot(path=TARGET / f"{name}-{width}-{theme}.png", full_page=True)
                    taken += 1
    return taken


def main() -> None:
    wanted = sys.argv[1:]
    TARGET.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="agentry-pictures-") as folder,
        staged(Path(folder)) as stage,
        sync_playwright() as playwright,
    ):
        browser = browser_open(playwright)
        taken = take(browser, stage, wanted)
        if not wanted or "run" in wanted:
            _for_documentation(browser, stage)
        browser.close()
    print(f"{taken} pictures in {TARGET.relative_to(ROOT)}")


def _for_documentation(browser: Browser, stage: Stage) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for theme, name in (("light", "run.png"), ("dark", "run-dark.png")):
        with page_open(browser, theme=theme, size=(1440, 1000)) as page:
            sign_in(page, stage, "root")
            page.goto(f"{stage.url}{pages(stage)['run']}")
            page.screenshot(path=TARGET / name)
            shutil.copyfile(TARGET / name, IMAGES / name)


if __name__ == "__main__":
    main()
