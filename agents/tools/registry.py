"""All built-in tools by name, made once."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.tools.echo import EchoTool
from agents.tools.fetch import FetchTool
from agents.tools.patch import PatchTool
from agents.tools.reading import GlobTool, GrepTool, ListTool, ViewTool
from agents.tools.search_replace import SearchReplaceTool
from agents.tools.todo import TodoTool
from agents.tools.waiting import AgentTool, WaitTool
from agents.tools.writing import EditTool, InsertTool, WriteTool
from plugins.contracts import Tool

_ALL: tuple[Tool, ...] = (
    AgentTool(),
    EchoTool(),
    EditTool(),
    FetchTool(),
    GlobTool(),
    GrepTool(),
    InsertTool(),
    ListTool(),
    PatchTool(),
    SearchReplaceTool(),
    TodoTool(),
    ViewTool(),
    WaitTool(),
    WriteTool(),
)

BUILTIN_TOOLS: Mapping[str, Tool] = MappingProxyType({tool.spec.name: tool for tool in _ALL})


def safe_builtins() -> frozenset[str]:
    """Return the names of the tools an agent gets when its author names none."""
    return frozenset(name for name, tool in BUILTIN_TOOLS.items() if not tool.spec.privileged)
