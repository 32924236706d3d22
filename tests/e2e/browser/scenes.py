"""What shows only after somebody's hand: dialogs, choices, refusals. For their pictures.

Each brings a page whose person is signed in as root to where it is worth a look.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Page

from tests.e2e.browser.stage import WORKSPACE, Stage

# One agent that is new, one that is told otherwise, and a model that costs less.
DOCUMENTS = """\
apiVersion: agentry/v1
kind: Agent
metadata: {name: greeter, description: Says hello to whoever comes.}
spec:
  model: careful
  prompt: |
    You greet people by their name.
    Ask what they need today.
---
apiVersion: agentry/v1
kind: Agent
metadata: {name: changelog-keeper, description: Keeps the changelog in order.}
spec: {prompt: "You keep a changelog.", model: quick, tools: [view, write]}
---
apiVersion: agentry/v1
kind: Model
metadata: {name: quick}
spec:
  provider: rehearsed
  vendor_name: rehearsed-small
  input_price_usd: "0.2"
  output_price_usd: "1"
"""

Scene = Callable[[Page, Stage], None]


def go(page: Page, stage: Stage, place: str) -> None:
    page.goto("about:blank")  # an address that differs in its # alone is no visit
    page.goto(f"{stage.url}/admin/{place}")


def _run(stage: Stage, name: str, panel: str) -> str:
    return f"agents/run/{stage.runs[name]}/change/#show={panel}"


def palette(page: Page, stage: Stage) -> None:
    go(page, stage, "")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").press_sequentially("rel")
    page.get_by_role("option").filter(has_text="release-notes").first.wait_for()


def keys(page: Page, stage: Stage) -> None:
    go(page, stage, "agents/run/")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def menu(page: Page, stage: Stage) -> None:
    go(page, stage, "")
    button = page.locator("[data-menu]")
    if button.is_visible():
        button.click()


def runs_finder(page: Page, stage: Stage) -> None:
    go(page, stage, "agents/run/")
    page.locator(".finder-more > summary").click()


def runs_chosen(page: Page, stage: Stage) -> None:
    go(page, stage, "agents/run/")
    page.locator("tr[data-run]").first.wait_for()
    for each in ("j", "x", "j", "x"):
        page.keyboard.press(each)
    page.locator("#chosen-count").wait_for()


def call_inspected(page: Page, stage: Stage) -> None:
    go(page, stage, _run(stage, "succeeded", "calls"))
    page.locator("#calls-rows .row-button").nth(1).click()
    page.locator("#calls-detail .json").first.wait_for()


def checkpoint_inspected(page: Page, stage: Stage) -> None:
    go(page, stage, _run(stage, "succeeded", "checkpoints"))
    page.get_by_role("button", name="Inspect checkpoint 10").click()
    page.locator("#state-detail .json").wait_for()


def timeline_opened(page: Page, stage: Stage) -> None:
    """A child's own steps among those of its parent, and what one of them took."""
    go(page, stage, _run(stage, "succeeded", "timeline"))
    child = page.locator("#timeline-rows .row-button[aria-expanded]")
    child.focus()
    page.keyboard.press("Space")
    page.locator("#timeline-rows .row-button[aria-expanded=true]").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")


def timeline_events(page: Page, stage: Stage) -> None:
    go(page, stage, _run(stage, "succeeded", "timeline"))
    page.get_by_role("button", name="Events").click()
    page.locator("#timeline-rows .row-button").nth(3).click()
    page.locator("#timeline-detail .json").wait_for()


def held(page: Page, stage: Stage) -> None:
    asked = {
        "agent": "release-notes",
        "input": "Write the release notes for 2.5.",
        "debug": {"step": "both", "breakpoints": [{"kind": "tool", "value": "bash"}]},
    }
    request = urllib.request.Request(
        f"{stage.url}/api/v1/workspaces/{WORKSPACE}/runs",
        data=json.dumps(asked).encode(),
        headers={"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        run = json.load(answer)["id"]
    go(page, stage, f"agents/run/{run}/change/")
    panel = page.locator("#run-debugger")
    panel.get_by_text("Held before model call 1").wait_for()
    page.keyboard.press("s")
    panel.get_by_text("Held before 2 calls").wait_for()


def held_edit(page: Page, stage: Stage) -> None:
    held(page, stage)
    page.locator("[data-debug=arguments]").last.click()
    page.get_by_role("dialog").wait_for()


def held_breakpoints(page: Page, stage: Stage) -> None:
    held(page, stage)
    page.locator("[data-debug=settings]").click()
    page.get_by_role("dialog").wait_for()


def trace_file(page: Page, stage: Stage) -> None:
    go(page, stage, f"trace-viewer/?run={stage.runs['succeeded']}")
    page.locator(".tv-span").nth(3).click()
    page.locator(".tv-detail").wait_for()


def trace_conversation(page: Page, stage: Stage) -> None:
    go(page, stage, f"trace-viewer/?run={stage.runs['succeeded']}")
    page.get_by_role("tab", name="Conversation").click()


def agent_refused(page: Page, stage: Stage) -> None:
    go(page, stage, "agents/agent/add/")
    page.locator('input[name="_save"]').click()
    page.locator(".errorlist").first.wait_for()


def agent_delete(page: Page, stage: Stage) -> None:
    go(page, stage, f"agents/agent/{stage.rows['agent']}/delete/")


def budget_delete(page: Page, stage: Stage) -> None:
    go(page, stage, f"governance/budget/{stage.rows['budget']}/delete/")


def documents_preview(page: Page, stage: Stage) -> None:
    go(page, stage, "documents/")
    page.get_by_label("Into").select_option(WORKSPACE)
    page.get_by_label("or its text").fill(DOCUMENTS)
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("heading", name="What it would change").wait_for()


def documents_refused(page: Page, stage: Stage) -> None:
    go(page, stage, "documents/")
    page.get_by_label("or its text").fill(
        "kind: Agent\nmetadata: {name: greeter}\nspec: {promt: Hi}\n"
    )
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("alert").first.wait_for()


def worker_drain(page: Page, stage: Stage) -> None:
    go(page, stage, "workers/")
    page.get_by_role("link", name="Drain").first.click()
    page.get_by_role("button", name="Drain it").wait_for()


def worker_drained(page: Page, stage: Stage) -> None:
    worker_drain(page, stage)
    page.get_by_role("button", name="Drain it").click()
    page.locator(".pill.is-draining").first.wait_for()


def worker_again(page: Page, stage: Stage) -> None:
    """Undoes what the scene before it did: nothing would run in those that follow."""
    go(page, stage, "workers/")
    page.get_by_role("button", name="Undo drain").first.click()
    page.get_by_text("is put to work again").wait_for()


def nothing_there(page: Page, stage: Stage) -> None:
    page.goto(f"{stage.url}/nowhere/")


def not_allowed(page: Page, stage: Stage) -> None:
    go(page, stage, f"agents/run/{stage.runs['failed']}/delete/")


def form_from_elsewhere(page: Page, stage: Stage) -> None:
    """As when cookies are switched off."""
    page.goto(f"{stage.url}/admin/password_change/")
    page.locator("[name=csrfmiddlewaretoken]").last.evaluate("field => { field.value = 'x' }")
    page.locator("#content form [type=submit]").click()
    page.get_by_text("Nothing was changed").wait_for()


SCENES: Final[dict[str, Scene]] = {
    "palette": palette,
    "keys": keys,
    "menu": menu,
    "runs-finder": runs_finder,
    "runs-chosen": runs_chosen,
    "call-inspected": call_inspected,
    "checkpoint-inspected": checkpoint_inspected,
    "timeline-opened": timeline_opened,
    "timeline-events": timeline_events,
    "held": held,
    "held-edit": held_edit,
    "held-breakpoints": held_breakpoints,
    "trace-file": trace_file,
    "trace-conversation": trace_conversation,
    "agent-refused": agent_refused,
    "agent-delete": agent_delete,
    "budget-delete": budget_delete,
    "documents-preview": documents_preview,
    "documents-refused": documents_refused,
    "worker-drain": worker_drain,
    "worker-drained": worker_drained,
    "worker-again": worker_again,
    "nothing-there": nothing_there,
    "not-allowed": not_allowed,
    "form-from-elsewhere": form_from_elsewhere,
}
