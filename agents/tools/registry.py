"""All built-in tools by name, made once."""

from collections.abc import Mapping
from types import MappingProxyType

from agents.tools.echo import EchoTool
from agents.tools.fetch import FetchTool
from agents.tools.patch import PatchTool
from agents.tools.programs import PythonTool, ShellTool
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
    PythonTool(),
    SearchReplaceTool(),
    ShellTool("bash"),
    ShellTool("sh"),
    TodoTool(),
    ViewTool(),
    WaitTool(),
    WriteTool(),
)

BUILTIN_TOOLS: Mapping[str, Tool] = MappingProxyType({tool.spec.name: tool for tool in _ALL})


# Those that touch the workspace's files from outside its sandbox.
FILE_TOOLS = frozenset(
    {"edit", "glob", "grep", "insert", "ls", "patch", "search_replace", "todo", "view", "write"}
)


def safe_builtins() -> frozenset[str]:
    """Return the names of the tools an agent gets when its author names none.

    Programs are not among them: whoever wants them says so.
    """
    return frozenset(
        name
        for name, tool in BUILTIN_TOOLS.items()
        if not tool.spec.privileged and tool.spec.sandbox is None
    )
