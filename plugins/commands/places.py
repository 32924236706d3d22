"""Where and how a program begins inside its sandbox."""

import posixpath
from collections.abc import Mapping

from plugins.contracts import SandboxCalls, ToolContext
from plugins.errors import ToolError
from sandbox.contracts import WORKSPACE

# Seconds a call may wait for its turn and for a sandbox, beside the time its program has.
WAITING_SECONDS = 720.0

ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": WORKSPACE,
    "TMPDIR": "/tmp",  # noqa: S108 - inside
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


def place_of(folder: str) -> str:
    """Return a folder of the workspace as it is called inside.

    Raises:
        ToolError: It lies outside.
    """
    inside = posixpath.normpath(posixpath.join(WORKSPACE, folder))
    if "\0" in folder or (inside != WORKSPACE and not inside.startswith(f"{WORKSPACE}/")):
        raise ToolError(
            f"{folder[:200]!r} is not inside the workspace.",
            remedy="Give a folder relative to the workspace.",
        )
    return inside


def sandbox_of(context: ToolContext, tool: str) -> SandboxCalls:
    """Return what runs programs for this call.

    Raises:
        ToolError: The process that has the call runs none; nothing was done.
    """
    if context.sandbox is None:
        raise ToolError(
            f"{tool} runs in a sandbox, and this process has none. Nothing was done.",
            remedy="Run a worker with sandboxes.",
        )
    return context.sandbox
