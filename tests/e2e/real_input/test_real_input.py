"""Real files, real vendor processes, and every way in which a vendor can misbehave."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.contracts import RunState
from agents.models import Run
from agents.services.workspaces import workspace_path, workspace_seed
from core.errors import ConflictError, InvalidInputError
from governance.models import Workspace
from observability import live
from observability.cursors import START, Topic
from observability.live.frames import DeltaFrame, EventsFrame, Frame
from observability.live.subscription import Subscription
from observability.models import Blob
from plugins.models import ToolCall
from tests.e2e.real_input.kit import (
    CALC,
    FIXED,
    VENDORS,
    agent_on,
    calls,
    git,
    repository,
    seeded_run,
    serving_text,
)
from tests.e2e.real_input.vendors import vendor_process
from tests.factories.agents import make_tool
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    boss,
    check_invariants,
    kinds,
    ledger,
    told,
)
from tests.waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.parametrize("kind", VENDORS)


@pytest.fixture(autouse=True)
def _workspaces(engine: Engine, settings: Any) -> None:
    settings.WORKSPACES_DIR = engine.workspaces


TASK: tuple[dict[str, Any], ...] = (
    calls(("ls", {}), ("view", {"path": "calc/add.py"}), text="I look at the code."),
    calls(("edit", {"path": "calc/add.py", "old_string": "a - b", "new_string": "a + b"})),
    calls(("view", {"path": "calc/add.py"}), ("grep", {"pattern": "return"})),
)
LAST_WORDS = "Mended: add adds now, as the README promises."


def test_a_task_on_a_repository_is_done_and_streamed(
    engine: Engine, workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    source = repository(tmp_path / "source")
    last = {"text": LAST_WORDS, "chunk_chars": 4, "is_held": True}
    with vendor_process(kind, tmp_path, *TASK, last) as vendor:
        agent_on(vendor, workspace)
        run = seeded_run(workspace, source)
        with watching(run) as seen:
            engine.start()
            vendor.until_asked(4)
            run.refresh_from_db()  # it moves no further before the answer
            head = run.head_sequence
            seen.until_caught_up(head)
            vendor.release()
            engine.until(run)
        assert vendor.statuses() == [200] * 4

    assert (run.state, run.output) == ("succeeded", LAST_WORDS), run.reason
    folder = workspace_path(workspace_id=workspace.pk, root_id=run.root_id)
    assert (folder / "calc" / "add.py").read_text() == FIXED
    assert git(folder, "diff", "--stat", "--", "calc").splitlines()[0].split() == [
        "calc/add.py", "|", "2", "+-",
    ]  # fmt: skip
    assert (source / "calc" / "add.py").read_text() == CALC
    assert {state for _, state in ledger(run)} == {"committed"}
    assert run.input_tokens == 40
    check_invariants(run.pk)
    assert seen.text_after(head) == LAST_WORDS
    assert seen.has_ended


class Seen:
    """What a live subscriber was shown, and how far it has come."""

    def __init__(self) -> None:
        self.has_ended = False
        self._deltas: list[DeltaFrame] = []
        self._reached = 0

    def note(self, subscription: Subscription, frame: Frame) -> None:
        """Take a frame in, on the viewer's thread."""
        if isinstance(frame, DeltaFrame):
            self._deltas.append(frame)
        if isinstance(frame, EventsFrame):
            self.has_ended = any(event.is_end for event in frame.events)
        if subscription.is_live:  # before that, it is told of no fragments
            self._reached = subscription.position[0]

    def until_caught_up(self, sequence: int) -> None:
        """Wait until the viewer is live and has seen the run's event `sequence`."""
        wait_for(lambda: self._reached >= sequence, lambda: f"it is at {self._reached}")

    def text_after(self, sequence: int) -> str:
        """Return the fragments of the answer that follows event `sequence`."""
        return "".join(
            delta.delta
            for delta in self._deltas
            if (delta.channel, delta.after_sequence) == ("text", sequence)
        )


class watching:  # noqa: N801  # reads as a word in a with statement
    """Follow a run from another thread's event loop, as a viewer's connection does."""

    def __init__(self, run: Run) -> None:
        self._topic = Topic(run.workspace_id, run.pk)
        self._seen = Seen()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._follow()))

    def __enter__(self) -> Seen:
        self._thread.start()
        assert self._ready.wait(PATIENCE_SECONDS)
        return self._seen

    def __exit__(self, *error: object) -> None:
        self._thread.join(PATIENCE_SECONDS)

    async def _follow(self) -> None:
        subscription = await live.hub().subscribe(self._topic, START)
        self._ready.set()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for frame in subscription:
                    self._seen.note(subscription, frame)
                    if self._seen.has_ended:
                        return
        except TimeoutError:
            return
        finally:
            subscription.close(1000, "seen")
            await live.stop()


PASSING: dict[str, dict[str, Any]] = {
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": "0.1"},
    "500": {"kind": "status", "status": 500},
    "silence": {"kind": "hang"},
    "silence midway": {"kind": "hang_midway"},
    "cut": {"kind": "cut", "after_frames": 3},
    "reset": {"kind": "reset"},
    "malformed": {"kind": "malformed_chunk", "after_frames": 2},
    "error in stream": {"kind": "error_in_stream", "message": "overloaded"},
}


def _patience(fault: dict[str, Any], seconds: float) -> float:
    """How long to wait for a vendor: only silence is to end in a time-out."""
    return seconds if fault["kind"].startswith("hang") else 30.0


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_a_retry_and_nothing_else(
    engine: Engine,
    workspace: Workspace,
    tmp_path: Path,
    kind: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.engine.loop.RETRY_WAITS_SECONDS", (0.05,))
    answer = {"text": "Here I am, at last.", "chunk_chars": 3, "faults": [PASSING[fault]]}
    with vendor_process(kind, tmp_path, calls(("echo", {"text": "x"})), answer) as vendor:
        agent_on(vendor, workspace, timeout_seconds=_patience(PASSING[fault], 2.0))
        run = engine.play(begin(workspace))
        statuses = vendor.statuses()

    assert (run.state, run.output) == ("succeeded", "Here I am, at last."), run.reason
    assert told(run) == [
        "user do it",
        "call echo",
        "result x",
        "assistant Here I am, at last.",
    ]
    assert 400 not in statuses
    assert len(statuses) == 3
    assert kinds(run).count("step.retry") == 1
    check_invariants(run.pk)


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (PASSING["429 with Retry-After"], "provider_rate_limit", "status 429"),
        (PASSING["500"], "provider_overloaded", "status 500"),
        (PASSING["silence"], "provider_timeout", "nothing came for 0.3 seconds"),
        (PASSING["cut"], "provider_connection", "cut off in the middle"),
        (PASSING["malformed"], "provider_protocol", "is not valid"),
        ({"kind": "status", "status": 401}, "provider_auth", "status 401"),
        ({"kind": "html"}, "provider_protocol", "web page"),
    ],
)
def test_a_fault_that_stays_ends_in_an_explained_failure(
    engine: Engine,
    workspace: Workspace,
    tmp_path: Path,
    kind: str,
    fault: dict[str, Any],
    code: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.engine.loop.RETRY_WAITS_SECONDS", (0.02,))
    answer = {"text": "never", "chunk_chars": 1, "faults": [{**fault, "times": 0}]}
    with vendor_process(kind, tmp_path, answer) as vendor:
        agent_on(vendor, workspace, timeout_seconds=_patience(fault, 0.3))
        run = engine.play(begin(workspace))

    assert (run.state, run.error_code) == ("failed", code)
    assert words in run.reason
    assert "sk-real-input" not in run.reason
    assert told(run) == ["user do it"]
    check_invariants(run.pk)


def test_a_model_that_calls_wrongly_is_told_so_and_goes_on(
    engine: Engine, workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    broken: dict[str, Any] = {"name": "view", "raw_arguments": '{"path": '}
    if kind == "gemini":  # its arguments are an object on the wire; the next wrong thing
        broken = {"name": "view", "arguments": {"path": 7}}
    wrong = {
        "tool_calls": [
            broken,
            {"name": "teleport", "arguments": {"to": "Mars"}},
            {"name": "view", "arguments": {"paths": "x"}},
            {"name": "echo", "arguments": {"text": "fine"}},
        ]
    }
    with vendor_process(kind, tmp_path, wrong, {"text": "I see."}) as vendor:
        agent_on(vendor, workspace)
        run = engine.play(begin(workspace))
        assert vendor.statuses() == [200, 200]

    assert (run.state, run.output) == ("succeeded", "I see."), run.reason
    assert [state for _, state in ledger(run)] == ["failed", "failed", "failed", "committed"]
    errors = [line for line in told(run) if line.startswith("error")]
    assert any("There is no tool 'teleport' here. Available: echo" in line for line in errors)
    assert sum("The arguments of view" in line for line in errors) == 2
    check_invariants(run.pk)


def test_a_result_of_five_megabytes_is_shown_in_part_and_kept_whole(
    engine: Engine, workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    whole = "0123456789abcde\n" * 327_680  # 5 MB
    answers = (calls(("report", {})), {"text": "Long."})
    with serving_text(whole) as address, vendor_process(kind, tmp_path, *answers) as vendor:
        declared = {"url": f"http://{address}/", "method": "GET", "effect": "read"}
        make_tool(workspace, "report", is_privileged=False, **declared)
        agent_on(vendor, workspace, tools=["report"])
        engine.start(allow_hosts=(address,))
        run = engine.play(begin(workspace))
        assert vendor.statuses() == [200, 200]

    assert (run.state, run.output) == ("succeeded", "Long."), run.reason
    call = ToolCall.objects.get(run_id=run.pk)
    blob = Blob.objects.get(workspace_id=workspace.pk, digest=call.result_digest)
    assert whole in bytes(blob.content).decode()
    assert len(call.result) < 33_000
    assert f"is stored as sha256:{call.result_digest}" in call.result
    check_invariants(run.pk)


def test_files_are_seeded_once_and_before_the_run(
    engine: Engine, workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    source = repository(tmp_path / "source")
    with vendor_process(kind, tmp_path, {"text": "Done."}) as vendor:
        agent_on(vendor, workspace)
        run = seeded_run(workspace, source)
        with pytest.raises(ConflictError, match="is not empty"):
            workspace_seed(actor=boss(), run_id=run.pk, source=source)
        with pytest.raises(InvalidInputError, match="is not a folder"):
            workspace_seed(actor=boss(), run_id=begin(workspace).pk, source=source / "README.md")
        engine.play(run)
    with pytest.raises(ConflictError, match="has begun"):
        workspace_seed(actor=boss(), run_id=run.pk, source=source)
    assert run.state == RunState.SUCCEEDED.value
