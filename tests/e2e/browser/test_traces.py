"""Traces and profiles in a real browser: the viewer from disk without a server, hostile files, and
the flamegraph of an engine that is busy."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from agentry.viewer.standalone import standalone_page
from tests.e2e.browser.driver import sign_in
from tests.e2e.browser.stage import WORKSPACE, Stage

pytestmark = [pytest.mark.browser, pytest.mark.sqlite, pytest.mark.slow]

RUN, CHILD = "01a20557-85f9-7000-b1f2-5d06f567d890", "01a20557-85f9-7000-b1f2-5d06f567d891"
HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    "<svg onload=window.hacked=3> javascript:alert(1) \x1b[31mred\x1b]8;;https://evil.example\x07link"
    "\u202eesrever"
)


def earlier(second: float, kind: str, agent: str, data: Any) -> str:
    at = f"2024-05-01T12:00:{second:09.6f}123+02:00"  # Go writes nanoseconds and an offset
    return json.dumps({"ts": at, "type": kind, "agent_id": agent, "data": data})


def asked(name: str, arguments: str) -> dict[str, Any]:
    return {"Content": "I look.", "ToolCalls": [{"ID": "c1", "Name": name, "Arguments": arguments}]}


def packed(arguments: Any) -> str:
    return base64.b64encode(json.dumps(arguments).encode()).decode()


def earlier_file() -> str:
    return "\n".join(
        [
            earlier(0, "model_start", "coder", "gpt-4o"),
            earlier(0.5, "token", "coder", "I "),
            earlier(0.6, "token", "coder", "look."),
            earlier(1, "step_start", "coder", asked("view", packed({"path": "größe.go"}))),
            "this is no line of a trace",
            earlier(1.1, "tool_start", "coder", {"name": "view", "args": {"path": "größe.go"}}),
            earlier(1.6, "tool_end", "coder", {"name": "view", "result": "package main"}),
            earlier(2, "step_start", "coder", asked("view", "%%%")),
            earlier(3, "final", "coder", "Nothing to change."),
            earlier(3, "summary", "coder", {"tokens": 120, "cost": 0.004}),
            earlier(3, "model_start", "reviewer", "gpt-4o"),
        ]
    )


def ours(sequence: int, kind: str, payload: Any, run: str = RUN) -> str:
    at = f"2026-11-22T22:00:{sequence:02d}.500Z"
    return json.dumps(
        {
            "run_id": run,
            "sequence": sequence,
            "kind": kind,
            "at": at,
            "cursor": "1",
            "payload": payload,
        }
    )


@pytest.fixture
def viewer(page: Page, tmp_path: Path) -> Iterator[Page]:
    """The stand-alone viewer from disk; nothing but its own file may be asked for."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    (tmp_path / "viewer.html").write_text(standalone_page(), encoding="utf-8")
    page.goto((tmp_path / "viewer.html").as_uri())
    yield page
    assert {url for url in requests if not url.startswith(("file:", "blob:"))} == set()


def drop(page: Page, content: str | bytes, name: str = "trace.jsonl") -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    page.set_input_files(
        "#tv-file", {"name": name, "mimeType": "application/x-ndjson", "buffer": raw}
    )


def test_a_file_of_the_earlier_tool_is_replayed_from_disk(viewer: Page) -> None:
    drop(viewer, earlier_file())

    expect(viewer.locator(".tv-file")).to_contain_text("earlier Agentry tool")
    expect(viewer.locator(".tv-file")).to_contain_text("2024-05-01 10:00:00.000 UTC")
    viewer.locator(".tv-problems summary").click()
    expect(viewer.locator(".tv-problems li")).to_have_text(
        [
            "Line 5 is not JSON.",
            "Line 8 has a call “c1” whose arguments are not base64 of JSON.",
        ]
    )
    expect(viewer.locator(".tv-figures")).to_contain_text("$0.004")
    viewer.locator(".tv-span[title^=view]").click()
    expect(viewer.locator(".tv-detail")).to_contain_text("größe.go")
    viewer.get_by_text("Line 6 as it stands in the file").click()
    expect(viewer.locator(".tv-raw .tv-text")).to_have_text(earlier_file().splitlines()[5])

    viewer.keyboard.press("Escape")
    viewer.get_by_role("tab", name="Conversation").click()
    turns = viewer.locator(".tv-turn")
    expect(turns).to_have_count(5)
    expect(turns.nth(1)).to_contain_text('{"path": "größe.go"}')
    viewer.get_by_label("Time in the trace").press("Home")
    expect(turns).to_have_count(0)
    viewer.keyboard.press("ArrowRight")
    viewer.keyboard.press("ArrowRight")
    expect(turns).to_have_count(1)
    expect(turns.first.locator("pre")).to_have_text("I look.")
    viewer.keyboard.press("ArrowLeft")
    expect(turns.first.locator("pre")).to_have_text("I ")
    viewer.keyboard.press("+")
    expect(viewer.get_by_label("Speed")).to_have_value("2")
    viewer.get_by_label("Speed").select_option("100")
    viewer.locator(".tv-play").click()
    expect(viewer.locator(".tv-time")).to_contain_text("event 9 of 9")

    viewer.get_by_label("Search the trace").fill("nothing to")
    expect(turns).to_have_count(1)
    viewer.get_by_label("Search the trace").fill("")
    viewer.get_by_role("checkbox", name="coder").uncheck()
    expect(turns).to_have_count(0)


def test_a_file_of_ours_is_replayed_from_disk(viewer: Page) -> None:
    call = {"call_id": "c1", "tool": "write", "arguments": {"path": "a.txt", "deep": [{"b": None}]}}
    lines = [
        ours(1, "run.created", {"agent": "author", "input": "Write a.txt", "state": "queued"}),
        ours(2, "step.started", {"step": 1, "model": "large"}),
        ours(3, "step.model", {"model": "large", "text": "I write.", "tools": ["write"]}),
        ours(4, "tool.planned", call),
        ours(5, "run.state", {"state": "waiting", "wait_kind": "approval"}),
        ours(
            7, "tool.settled", call | {"state": "denied", "reason": "Not today.", "is_error": True}
        ),
        ours(8, "run.child", {"run_id": CHILD, "agent": "editor"}),
        ours(8, "run.created", {"agent": "editor", "input": "Edit."}, run=CHILD),
        ours(9, "run.state", {"state": "failed", "is_terminal": True, "reason": "denied"}),
    ]
    drop(viewer, "\n".join(lines))

    expect(viewer.locator(".tv-problems")).to_have_count(0)
    expect(viewer.locator(".tv-span .tv-title")).to_have_text(
        ["author", "large", "write", "waits for approval", "editor"]
    )
    viewer.get_by_role("tab", name="Tool calls").click()
    expect(viewer.locator(".tv-call")).to_contain_text("failed")
    viewer.locator(".tv-call").press("Enter")
    expect(viewer.locator(".tv-detail")).to_contain_text("Not today.")
    viewer.get_by_role("tab", name="Events").press("ArrowLeft")
    expect(viewer.get_by_role("tab", name="Tool calls")).to_be_focused()


def test_spans_of_opentelemetry_are_replayed_from_disk(viewer: Page) -> None:
    def span(name: str, start: int, **attributes: str) -> dict[str, Any]:
        return {
            "traceId": "a" * 32, "spanId": "b" * 16, "name": name,
            "startTimeUnixNano": str(1_700_000_000_000_000_000 + start * 10**9),
            "endTimeUnixNano": str(1_700_000_001_000_000_000 + start * 10**9),
            "attributes": [
                {"key": f"gen_ai.{key.replace('__', '.')}", "value": {"stringValue": value}}
                for key, value in attributes.items()
            ],
        }  # fmt: skip

    spans = [
        span("chat large", 1, operation__name="chat", agent__name="author"),
        span("execute_tool ls", 2, operation__name="execute_tool", tool__name="ls"),
        {"name": "broken"},
    ]
    document = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    drop(viewer, json.dumps(document, indent=2), "spans.json")

    expect(viewer.locator(".tv-span .tv-title")).to_have_text(["chat large", "execute_tool ls"])
    expect(viewer.locator(".tv-problems")).to_contain_text("1 line could not be read")
    expect(viewer.locator(".tv-file")).to_contain_text("OTLP JSON")
    drop(viewer, json.dumps(document) + "\n" + json.dumps(document))
    expect(viewer.locator(".tv-span")).to_have_count(4)


def test_nothing_a_trace_says_can_run(page: Page, tmp_path: Path) -> None:
    """Both ways in: a file that is opened, and one that lies in the page."""
    polluting = '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 2}}}'
    nested = "[" * 50_000 + "]" * 50_000
    call = {"call_id": HOSTILE, "tool": HOSTILE}
    lines = [
        ours(1, "run.created", {"agent": HOSTILE, "input": HOSTILE}),
        ours(2, "tool.planned", call | {"arguments": {HOSTILE: HOSTILE}}),
        ours(3, "tool.settled", {"call_id": HOSTILE, "tool": "__proto__", "result": HOSTILE}),
        ours(4, HOSTILE, {}, run="__proto__"),
        ours(5, "run.note", None).replace("null", polluting),
        ours(6, "tool.planned", {"tool": "deep", "call_id": "d", "arguments": {"deep": None}})
        .replace("null", nested),
        nested,
    ]  # fmt: skip
    trace = tmp_path / "hostile.jsonl"
    trace.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\x00 not text\n" + b"[1]\n")
    whole = tmp_path / "whole.html"
    with trace.open("rb") as content:
        whole.write_text(standalone_page(content, name=HOSTILE), encoding="utf-8")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.goto(whole.as_uri())

    expect(page.locator(".tv-problems summary")).to_contain_text("3 lines could not be read")
    page.locator(".tv-problems summary").click()
    expect(page.locator(".tv-problems li")).to_contain_text(
        ["Line 7 is JSON, but no object", "Line 8 is not UTF-8", "Line 9 is JSON, but no object"]
    )
    for tab in ("Waterfall", "Conversation", "Tool calls", "Events"):
        page.get_by_role("tab", name=tab).click()
    page.get_by_role("tab", name="Tool calls").click()
    for row in range(2):
        page.locator(".tv-call").nth(row).click()
        for fold in page.locator(".tv-detail details:not([open]) > summary").all():
            fold.click()
    page.get_by_label("Search the trace").fill("<script>")
    page.get_by_role("tab", name="Conversation").click()
    expect(page.locator(".tv-turn.is-user pre")).to_contain_text("<img src=x onerror=")
    shown = page.locator(".tv-turn.is-user pre").inner_text()

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "redlink\\u202eesrever" in shown
    assert page.evaluate("[window.hacked, ({}).polluted, Object.prototype.polluted]") == [None] * 3
    assert page.locator("#trace-viewer :is(img, script, iframe, object, a)").count() == 0
    assert dialogs == []


def test_a_large_file_opens_and_a_line_too_long_is_named(viewer: Page, tmp_path: Path) -> None:
    call = {"call_id": "c", "tool": "view", "result": "text " * 400}
    with (tmp_path / "large.jsonl").open("w") as made:
        for number in range(10_000):
            made.write(ours(number % 60, "tool.settled", call) + "\n")
        made.write(f'{{"long": "{"x" * (17 * 1024 * 1024)}"}}\n')
    viewer.set_input_files("#tv-file", tmp_path / "large.jsonl")

    expect(viewer.locator(".tv-problems")).to_contain_text("1 line could not be read")
    viewer.locator(".tv-problems summary").click()
    expect(viewer.locator(".tv-problems li")).to_have_text("Line 10001 is longer than 16 MiB.")
    expect(viewer.locator(".tv-figures")).to_contain_text("10,000")
    assert viewer.locator(".tv-row").count() < 100, "only rows in sight are elements"


def test_a_line_with_a_time_beyond_all_dates_is_named(viewer: Page) -> None:
    far = json.dumps({"run_id": "r", "sequence": 1, "kind": "run.note", "at": 1e300, "payload": {}})
    drop(viewer, f"{far}\n{ours(1, 'run.note', {'sentence': 'hello'})}\n")

    expect(viewer.locator(".tv-problems")).to_contain_text("1 line could not be read")
    viewer.locator(".tv-problems summary").click()
    expect(viewer.locator(".tv-problems li")).to_contain_text("has no time its reader knows")


def test_a_file_without_a_trace_says_what_is_wanted(viewer: Page) -> None:
    drop(viewer, "hello\n")

    expect(viewer.get_by_role("alert")).to_contain_text("Line 1 is not JSON.")
    expect(viewer.get_by_role("alert")).to_contain_text("Take an export of a run")


def call_site(stage: Stage, path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{stage.url}/api/v1/workspaces/{WORKSPACE}{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        answer.read()


def test_a_run_of_the_site_is_replayed_with_the_runs_below_it(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "olga")
    page.goto(f"{stage.url}/admin/agents/run/{stage.runs['succeeded']}/change/")
    page.get_by_role("link", name="Trace", exact=True).click()

    expect(page.locator(".tv-chip")).to_contain_text(["release-notes", "editor"])
    expect(page.locator(".tv-span .tv-title").first).to_have_text("release-notes")
    expect(page.locator(".tv-span", has_text="waits for children")).to_be_visible()


def test_the_flamegraph_of_a_busy_engine_appears_on_the_page(page: Page, stage: Stage) -> None:
    sign_in(page, stage, "root")
    page.goto(f"{stage.url}/admin/profiles/")
    choice = page.get_by_label("Process", exact=True)
    for _ in range(20):
        if choice.count():
            break
        page.wait_for_timeout(500)
        page.reload()
    page.get_by_label("For", exact=True).select_option("5")
    page.get_by_role("button", name="Start profiling").click()
    expect(page.get_by_role("heading", name="The process is being sampled")).to_be_visible()
    for _ in range(60):
        call_site(stage, "/runs", {"agent": "release-notes", "input": "Be busy."})

    expect(page.locator(".flame-frame").first).to_be_visible()
    ours_frames = page.locator(".flame-frame.is-ours")
    assert ours_frames.count() > 3
    page.get_by_label("Search functions and files").fill("agents/")
    expect(page.locator(".flame-found")).to_contain_text("of all samples go through “agents/”")
    found = page.locator(".flame-frame.is-found").first
    found.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    expect(page.locator(".flame-about")).to_contain_text("agents/")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".flame-frame.is-faint:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show all")).to_be_hidden()
    expect(page.locator(".hot tbody tr").first).to_be_visible()
