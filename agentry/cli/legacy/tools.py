"""Tools of the earlier tool: built-ins that exist here, HTTP tools and commands as documents, the
rest named."""

from typing import Any

from agentry.cli.documents.places import Placed
from agentry.cli.legacy.models import strict_name
from agentry.cli.legacy.notes import Translation
from agentry.cli.legacy.sandboxes import is_allowed, read_sandbox

# What an agent is given that names no tools.
SAFE = ("echo", "edit", "fetch", "glob", "grep", "insert", "ls", "patch", "search_replace", "todo",
        "view", "wait", "write")  # fmt: skip
_PROGRAMS = frozenset({"bash", "sh", "python"})
_KEPT = _PROGRAMS | {
    "agent", "echo", "edit", "fetch", "glob", "grep", "ls", "patch", "view", "write",
}  # fmt: skip
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
    "shell": "sh",
    "python3": "python",
}
_WINDOWS = "runs on Windows only; use bash"
_MISSING = {
    "powershell": _WINDOWS,
    "cmd": _WINDOWS,
    "branch-tidy": "has no counterpart; use bash with git in the run's workspace",
    "ping": "has no counterpart; use fetch on an address that answers",
    "sourcegraph": "has no counterpart; declare an HTTP tool for the search service",
    "mcp": "needs MCP servers, which are not supported yet",
}
_SANDBOX = ("privileged", "net", "cpu_limit", "mem_limit", "engine")
_READ = frozenset({"name", "type", "description", "command", "permissions", *_SANDBOX})
# The argument goes through the environment, so it is never part of the text that is run.
_SCRIPTS = {
    "bash": 'exec bash -c "$ARG_COMMAND"',
    "sh": 'exec sh -c "$ARG_COMMAND"',
    "python": 'exec python3 -c "$ARG_COMMAND"',
}
_ONE_COMMAND = {
    "type": "object",
    "properties": {"command": {"type": "string", "description": "What to run."}},
    "required": ["command"],
    "additionalProperties": False,
}


def builtin(name: str) -> str | None:
    """Our name for a built-in of the earlier tool, if there is one."""
    if name in _KEPT:
        return name
    return _RENAMED.get(name)


def ours_of(name: str, translation: Translation) -> str:
    """What a tool of the file is called now."""
    declared = strict_name(name)
    limited = f"{builtin(name)}-limited"
    known = translation.names("Tool")
    return limited if limited in known else declared if declared in known else builtin(name) or name


def read_tools(tools: Placed | None, engine: str, translation: Translation) -> list[str]:
    """The names of the tools that can be used here, in the order of the file; `engine` is the
    one of commands that name none."""
    usable: list[str] = []
    for tool in tools.items() if tools else []:
        name = tool.text("name")
        if not name:
            translation.unsupported(tool.place, "a tool without a name; not imported.")
            continue
        found = _read(tool, name, engine, translation)
        if found and found not in usable and is_allowed(tool, name, translation):
            usable.append(found)
    return usable


def _read(tool: Placed, name: str, engine: str, translation: Translation) -> str | None:
    kind = tool.text("type")
    if tool.get("command") is not None or kind == "command":
        return _command(tool, name, engine, translation)
    if tool.get("http") is not None or kind == "http":
        return _http(tool, name, translation)
    if builtin(name) in _PROGRAMS and any(key in tool.value for key in _SANDBOX):
        return _limited(tool, name, engine, translation)
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
        for key in _SANDBOX:
            if key in place.value and key != "privileged":
                translation.unsupported(
                    place.keys[key], f"tool {name}: {key} is decided by the server's policy here."
                )
        privileged = place.get("privileged")
        if ours is not None and privileged is not None and privileged.value is not False:
            translation.unsupported(
                place.keys["privileged"],
                f"tool {name}: privileged, so no agent is given it. Publish a policy that asks "
                "for it, then add it to an agent's tools.",
            )
            return None
    return ours


def _command(tool: Placed, name: str, engine: str, translation: Translation) -> str | None:
    script = tool.text("command")
    if not script.strip():
        translation.unsupported(tool.at(("command",)), f"tool {name}: has no command.")
        return None
    new = strict_name(name)
    if builtin(new) == new:
        new = f"{new}-command"
    spec: dict[str, Any] = {
        "kind": "command",
        "description": tool.text("description") or f"Runs {script}.",
        "command": script,
        "effect": "irreversible",
        **read_sandbox(tool, name, engine, translation),
    }
    translation.add("Tool", new, spec)
    translation.changed(
        tool.place,
        f"tool {name} → Tool {new}, a command in a sandbox; arguments reach it as $ARG_NAME and as "
        "JSON on standard input. Its effect is taken as irreversible: change `effect` if it may be "
        "repeated after a crash.",
    )
    for key in tool.value:
        if key not in _READ:
            translation.unsupported(tool.keys[key], f"tool {name}: {key} is not carried over.")
    return new


def _limited(tool: Placed, name: str, engine: str, translation: Translation) -> str:
    """A built-in program with limits of its own is declared as a command with those limits."""
    ours = builtin(name) or name
    new = f"{ours}-limited"
    spec: dict[str, Any] = {
        "kind": "command",
        "description": tool.text("description") or f"Run a program with {ours}.",
        "command": _SCRIPTS[ours],
        "input_schema": _ONE_COMMAND,
        "effect": "irreversible",
        **read_sandbox(tool, name, engine, translation),
    }
    translation.add("Tool", new, spec)
    translation.changed(
        tool.place, f"tool {name} → Tool {new}: {ours} with the limits that the file sets."
    )
    return new


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
    if (privileged := tool.get("privileged")) is not None:
        spec["is_privileged"] = privileged.value is not False
    translation.add("Tool", new, spec)
    translation.changed(
        tool.place,
        f"tool {name} → Tool {new}; its effect is taken as irreversible, so it is never repeated "
        "after a crash. Change `effect` if it may be.",
    )
    for key in tool.value:
        if key not in ("name", "type", "description", "http", "url", "privileged", "permissions"):
            translation.unsupported(tool.keys[key], f"tool {name}: {key} is not carried over.")
    return new
