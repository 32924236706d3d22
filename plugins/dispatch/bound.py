"""A tool of one run, checked against what it promised when the run began."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from plugins.contracts import FileUse, Park, Tool, ToolContext, ToolResult, ToolSpec
from plugins.digest import spec_digest
from plugins.schemas import Checker

# Awaits the work of a call where something has to be held, or made ready, around it.
Work: TypeAlias = Awaitable[ToolResult | Park]
Guard: TypeAlias = Callable[[Work, ToolContext], Work]


class BoundTool:
    """A tool of one run: what it promised when the run began, and what calls it."""

    __slots__ = ("checker", "config", "digest", "files", "guard", "output", "spec", "tool")

    def __init__(
        self, tool: Tool, config: Mapping[str, Any] | None = None, *, guard: Guard | None = None
    ) -> None:
        self.tool = tool
        self.guard = guard
        self.spec: ToolSpec = tool.spec
        self.digest = spec_digest(self.spec)
        self.config = dict(config or {})
        self.checker = Checker(self.spec.input_schema)
        schema = self.spec.output_schema
        self.output = None if schema is None else Checker(schema, what="result")
        self.files: FileUse = getattr(tool, "files", FileUse.NONE)
        if self.spec.sandbox is not None:
            self.files = FileUse.CHANGES
