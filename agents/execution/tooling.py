"""The tools of a run: built-ins from code, declared ones from the run's snapshot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.execution.context import RunContext
from agents.execution.sandboxing import CallSandbox, FileGuard
from agents.snapshot import PinnedTool
from agents.tools.registry import BUILTIN_TOOLS, FILE_TOOLS
from plugins.contracts import ToolSpec
from plugins.declared import declared_tool
from plugins.dispatch import BoundTool, Door
from sandbox.pool import SandboxPool


class Toolbox:
    """Builds each run's door once per snapshot. Used on the event loop's thread only."""

    def __init__(self, *, allow_hosts: Sequence[str], pool: SandboxPool) -> None:
        self._config = {"allow_hosts": tuple(allow_hosts)}
        self._pool = pool
        self._files = FileGuard(pool)
        self._doors: dict[str, Door] = {}

    def door(self, context: RunContext) -> Door:
        found = self._doors.get(context.snapshot_digest)
        if found is None:
            if len(self._doors) > 4096:
                self._doors.clear()
            bound = (self._bound(pinned) for pinned in context.snapshot.tools)
            tools = {tool.spec.name: tool for tool in bound if tool is not None}
            found = self._doors[context.snapshot_digest] = Door(tools)
        return found

    def declaration(self, context: RunContext, tool: str) -> tuple[ToolSpec, str]:
        """Return what a tool of the run promises, and the address it calls when it is declared."""
        bound = self.door(context).bound(tool)
        assert bound is not None, "the door has judged this tool"
        pinned = {each.name: each.definition or {} for each in context.snapshot.tools}
        return bound.spec, str(pinned.get(tool, {}).get("url", ""))

    def config(self, context: RunContext, tool: str) -> Mapping[str, Any]:
        if tool == "agent":
            return {**self._config, "delegates": context.snapshot.delegates}
        return self._config

    def blocker(self, context: RunContext) -> str:
        """Name what this process lacks to go on with the run as it was started, or nothing."""
        specs = {spec.name: spec for spec in self.door(context).specs}
        for pinned in context.snapshot.tools:
            if pinned.name not in specs:
                return (
                    f"The tool {pinned.name} the run started with is not the one installed here. "
                    "Run a worker that has it, or fork the run with the tools of today."
                )
        return ""

    def sandbox(self, context: RunContext, tool: str, workspace: Path) -> CallSandbox | None:
        """Return the sandbox of a call; None for a tool that runs in no sandbox."""
        bound = self.door(context).bound(tool)
        if bound is None or bound.spec.sandbox is None:
            return None
        return CallSandbox(self._pool, workspace, bound.spec)

    def _bound(self, pinned: PinnedTool) -> BoundTool | None:
        bound = bound_tool(pinned, self._config)
        if bound is not None and pinned.definition is None and pinned.name in FILE_TOOLS:
            bound.guard = self._files
        return bound


def bound_tool(pinned: PinnedTool, config: Mapping[str, Any] | None = None) -> BoundTool | None:
    """Return the tool a run is pinned to; None when the one installed here is another."""
    if pinned.definition is not None:
        bound = BoundTool(declared_tool(pinned.definition), config)
    elif (tool := BUILTIN_TOOLS.get(pinned.name)) is not None:
        bound = BoundTool(tool, config)
    else:
        return None
    return bound if bound.digest == pinned.digest else None
