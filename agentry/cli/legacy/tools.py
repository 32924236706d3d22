"""Tools of the earlier tool: built-ins that exist here, HTTP tools as documents, the rest named."""

from typing import Any

from agentry.cli.documents.places import Placed
from agentry.cli.legacy.models import strict_name
from agentry.cli.legacy.notes import Translation

_KEPT = frozenset(
    {"agent", "echo", "edit", "fetch", "glob", "grep", "ls", "patch", "view", "write"}
)
_RENAMED = {
    "read": "view",
    "read_file": "view",
    "cat": "view",
    "write_file": "write",
    "edit_file": "edit",
    "create": "write",
    "fileops": "edit",
    "find": "glob",
    "search": "grep",
    "search-replace": "search_replace",
    "search_replace": "search_replace",
    "insert": "insert",
    "insert_at": "insert",
    "list": "ls",
    "curl": "fetch",
}
_SANDBOX = "runs commands and needs a sandbox, which this server does not offer yet"
_MISSING = {
    "bash": _SANDBOX,
    "sh": _SANDBOX,
    "shell": _SANDBOX,
    "powershell": _SANDBOX,
    "cmd": _SANDBOX,
    "branch-tidy": _SANDBOX,
    "ping": "has no counterpart; use fetch on an address that answers",
    "sourcegraph": "has no counterpart; declare an HTTP tool for the search service",
    "mcp": "needs MCP servers, which are not supported yet",
}
_LIMITS = ("privileged", "net", "cpu_limit", "mem_limit", "engine", "permissions")


def builtin(name: str) -> str | None:
    """Our name for a built-in of the earlier tool, if there is one."""
    if name in _KEPT:
        return name
    return _RENAMED.get(name)


def read_tools(tools: Placed | None, translation: Translation) -> list[str]:
    """The names of the tools that can be used here, in the order of the file."""
    usable: list[str] = []
    for tool in tools.items() if tools else []:
        name = tool.text("name")
        if not name:
            translation.unsupported(tool.place, "a tool without a name; not imported.")
            continue
        found = _read(tool, name, translation)
        if found and found not in usable:
            usable.append(found)
    return usable


def _read(tool: Placed, name: str, translation: Translation) -> str | None:
    kind = tool.text("type")
    if tool.get("command") is not None:
        translation.unsupported(tool.at(("command",)), f"tool {name}: {_SANDBOX}.")
        return None
    if tool.get("http") is not None or kind == "http":
        return _http(tool, name, translation)
    if kind in ("builtin", ""):
        return name_builtin(tool, name, translation)
    translation.unsupported(tool.at(("type",)), f"tool {name}: the type {kind!r} is not known.")
    return None


def name_builtin(place: Placed, name: str, translation: Translation) -> str | None:
    """Carry over the use of a built-in, or say why it cannot be."""
    ours = builtin(name)
    if ours is None:
        reason = _MISSING.get(name, "is not a built-in tool here")
        translation.unsupported(place.place, f"tool {name}: {reason}.")
    elif ours != name:
        translation.changed(place.place, f"tool {name} → {ours}.")
    else:
        translation.kept(place.place, f"tool {name}.")
    if isinstance(place.value, dict):
        for key in _LIMITS:
            if key in place.value:
                translation.unsupported(
                    place.keys[key], f"tool {name}: {key} is decided by the server's policy here."
                )
    return ours


def _http(tool: Placed, name: str, translation: Translation) -> str | None:
    url = tool.text("http") or tool.text("url")
    if not url.startswith(("http://", "https://")):
        translation.unsupported(tool.place, f"tool {name}: {url!r} is not an http address.")
        return None
    new = strict_name(name)
    spec: dict[str, Any] = {
        "description": tool.text("description") or f"Calls {url}.",
        "url": url,
        "method": "POST",
        "input_schema": {"type": "object"},
        "effect": "irreversible",
    }
    translation.add("Tool", new, spec)
    translation.changed(
        tool.place,
        f"tool {name} → Tool {new}; its effect is taken as irreversible, so it is never repeated "
        "after a crash. Change `effect` if it may be.",
    )
    for key in tool.value:
        if key not in ("name", "type", "description", "http", "url"):
            translation.unsupported(tool.keys[key], f"tool {name}: {key} is not carried over.")
    return new
