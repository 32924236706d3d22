"""What joins calls to sandboxes: the calls of a sandboxed tool, and the files of the others."""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path

from core.errors import DomainError
from plugins.contracts import Park, ToolContext, ToolResult, ToolSpec
from plugins.errors import OutcomeUnknownError, ToolError
from sandbox.contracts import Command, HostCredential, Outcome, Profile
from sandbox.errors import (
    SandboxBusyError,
    SandboxLostError,
    SandboxRefusedError,
    SandboxUnavailableError,
    UnsafePathError,
)
from sandbox.pool import SandboxPool
from sandbox.site import planning

_NOT_BEGUN = (SandboxBusyError, SandboxRefusedError, SandboxUnavailableError, UnsafePathError)


class CallSandbox:
    """The sandbox as one call may use it: with the profile its tool declares, and no other.

    What was approved is bound to that profile, so a tool cannot choose another while it runs.
    """

    def __init__(self, pool: SandboxPool, workspace: Path, spec: ToolSpec) -> None:
        self._pool = pool
        self._workspace = workspace
        self._tool = spec.name
        self._allowed: tuple[Profile, ...] = ()
        if spec.sandbox is not None:
            self._allowed = (spec.sandbox, planning(spec.sandbox))

    async def run(
        self, profile: Profile, command: Command, *, credentials: Sequence[HostCredential] = ()
    ) -> Outcome:
        if profile not in self._allowed:
            raise ToolError(
                f"{self._tool} asked for a sandbox that it does not declare. Nothing was done.",
                remedy="The tool's author must declare the profile it runs in.",
            )
        try:
            return await self._pool.run(self._workspace, profile, command, credentials=credentials)
        except _NOT_BEGUN as error:
            raise _clean(error) from error
        except SandboxLostError as error:
            raise OutcomeUnknownError(
                f"{error.message} What {self._tool} did in the workspace is not known.",
                remedy="Look at the workspace, then say what became of the call.",
            ) from error


class FileGuard:
    """Holds the workspace's files in place while a tool touches them from outside the sandbox.

    A thread cannot be stopped, so they stay in place until the work has ended, also when the call
    is cancelled before.
    """

    def __init__(self, pool: SandboxPool) -> None:
        self._pool = pool
        self._under_way: set[asyncio.Task[ToolResult | Park]] = set()

    async def __call__(
        self, work: Awaitable[ToolResult | Park], context: ToolContext
    ) -> ToolResult | Park:
        task = asyncio.ensure_future(self._held(work, context))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def _held(
        self, work: Awaitable[ToolResult | Park], context: ToolContext
    ) -> ToolResult | Park:
        try:
            async with self._pool.files(context.workspace_path):
                return await work
        except _NOT_BEGUN as error:
            raise _clean(error) from error
        finally:
            if isinstance(work, Coroutine):
                work.close()  # where it has not begun

    def _ended(self, task: asyncio.Task[ToolResult | Park]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, in case the call was cancelled and nobody waits


def _clean(error: DomainError) -> ToolError:
    return ToolError(f"{error.message} {error.remedy} Nothing was done.".replace("  ", " "))
