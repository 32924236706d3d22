"""Words for the files of runs, and a tool whose call can be cut off after it has written."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.contracts import RunState
from agents.execution.folders import store_of
from agents.models import Checkpoint, Run
from governance.models import Workspace
from observability.models import TraceEvent
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from sandbox.workspaces.snapshots import listing
from tests.integration.agents.execution.kit import (
    Engine,
    begin,
    script_agent,
)

APPEND = """
steps:
  - tool_calls: [{name: write, arguments: {path: log.txt, content: "begin\\n"}}]
  - tool_calls: [{name: append, arguments: {}}]
  - text: done
"""


class AppendTool:
    """Appends a line, which is not the same twice, and may be stopped just after."""

    files = FileUse.CHANGES

    def __init__(self, effect: EffectClass) -> None:
        self.spec = ToolSpec(
            name="append",
            description="Append a line.",
            input_schema={"type": "object"},
            effect=effect,
        )
        self.written = threading.Event()
        self.is_held = True
        self.seen: list[str] = []

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        path = context.workspace_path / "log.txt"
        self.seen.append(path.read_text() if path.exists() else "")
        path.write_text(self.seen[-1] + "more\n")
        (context.workspace_path / "half").write_text("done")
        self.written.set()
        if self.is_held:
            await asyncio.Event().wait()
        return ToolResult(text="Appended.")


def folder_of(engine: Engine, run: Run) -> Path:
    return engine.workspaces / str(run.workspace_id) / str(run.root_id)


def contents(engine: Engine, run: Run) -> dict[str, str]:
    """The files of a run, without our own."""
    folder = folder_of(engine, run)
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".agentry" not in path.parts
    }


def digests(run: Run) -> list[str]:
    rows = Checkpoint.objects.filter(run=run).order_by("sequence")
    return list(rows.values_list("workspace_digest", flat=True))


def files_at(engine: Engine, run: Run, sequence: int) -> list[str]:
    digest = Checkpoint.objects.get(run=run, sequence=sequence).workspace_digest
    tree = store_of(engine.workspaces, run.workspace_id).tree(digest)
    return [item.path for item in listing(tree) if not item.path.startswith(".agentry")]


def notes(run: Run) -> list[str]:
    rows = TraceEvent.objects.filter(run_id=run.pk, kind="run.note").order_by("sequence")
    return [str(row.payload["sentence"]) for row in rows]


def turn_file(engine: Engine, run: Run) -> Path:
    folder = folder_of(engine, run)
    return folder.with_name(f"{folder.name}.turn")


def cut_off(engine: Engine, workspace: Workspace, append: AppendTool) -> Run:
    """A run whose worker was stopped after the call had written and before it had ended."""
    script_agent(workspace, APPEND, tools=["write", "append"])
    host = engine.start(drain_seconds=0.0)
    run = begin(workspace)
    assert append.written.wait(30)
    host.drain()
    engine.until(run, RunState.QUEUED)
    assert contents(engine, run) == {"half": "done", "log.txt": "begin\nmore\n"}
    append.is_held = False
    return run
