"""No sandbox at all: programs beside the worker, as its own user.

For sites whose administrator has said so, and never as root. It keeps a call to its time, its
output and the limits of a single process; it keeps nobody from files, processes or the network.
"""

import asyncio
import contextlib
import os
import posixpath
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from core import clock
from core.finishing import to_the_end, undivided
from sandbox.contracts import (
    WORKSPACE,
    Abilities,
    Command,
    Ended,
    HostCredential,
    Isolation,
    Limit,
    Outcome,
    Profile,
    Strength,
    Usage,
)
from sandbox.errors import SandboxLostError, SandboxRefusedError
from sandbox.leases import Leases, WorkspaceLock
from sandbox.runners.rights import limited

_CHUNK = 65536
_HOLDS = frozenset({Limit.WALL, Limit.OUTPUT, Limit.OPEN_FILES, Limit.FILE})
_MISSING = "nothing holds it without a sandbox"
_REMEDY = "Ask for no such limit (null), or for an engine that isolates."


class DisabledRunner:
    """See `sandbox.contracts.Runner`."""

    name = Isolation.DISABLED

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def abilities(self) -> Abilities:
        missing = dict.fromkeys(frozenset(Limit) - _HOLDS, _MISSING)
        return Abilities(
            name=self.name, strength=Strength.NONE, holds=_HOLDS, missing=missing, remedy=_REMEDY
        )

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> "DisabledSession":
        if profile.isolation is not self.name:
            raise SandboxRefusedError("Without a sandbox runs only what asks for that by name.")
        if _is_root():
            raise SandboxRefusedError(
                "Without a sandbox nothing is run as root.",
                remedy="Start the worker as another user, or ask for an engine that isolates.",
            )
        if lacking := sorted(profile.asked() - _HOLDS):
            raise SandboxRefusedError(
                f"{', '.join(lacking)} cannot be held: {_MISSING}.", remedy=_REMEDY
            )
        if profile.is_read_only or credentials:
            raise SandboxRefusedError(
                "Without a sandbox a workspace cannot be kept from being written, and no gateway "
                "adds credentials.",
                remedy="Ask for an engine that isolates.",
            )
        return DisabledSession(workspace, profile, Leases(self._folder).lock_workspace(workspace))


class DisabledSession:
    """See `sandbox.contracts.Session`. What leaves its process group outlives the call."""

    def __init__(self, workspace: Path, profile: Profile, lock: WorkspaceLock) -> None:
        self._workspace = workspace
        self._limits = profile.limits
        self._lock: WorkspaceLock | None = lock
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._ended_by: Ended | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def run(self, command: Command) -> Outcome:
        if command.secrets:
            raise SandboxRefusedError(
                "Without a sandbox there is no place for secrets.",
                remedy="Ask for an engine that isolates.",
            )
        async with self._turn:
            if self._lock is None:
                raise SandboxLostError("The session was closed.", remedy="Open a new one.")
            return await self._run(command)

    async def _run(self, command: Command) -> Outcome:
        seconds = min(self._limits.wall_seconds, command.wall_seconds or self._limits.wall_seconds)
        began = clock.monotonic()
        self._begin()
        process = await self._started(command)
        kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    self._fed(process, command.stdin),
                    self._kept(process.stdout, kept, "out"),
                    self._kept(process.stderr, kept, "err"),
                    process.wait(),
                )
        except TimeoutError:
            self._ends(Ended.TIMEOUT)
        finally:
            self._kill()
            await process.wait()
            self._process = None
        status = process.returncode or 0
        return Outcome(
            exit_code=status if status >= 0 else None,
            signal=-status if status < 0 else None,
            stdout=bytes(kept["out"]),
            stderr=bytes(kept["err"]),
            is_truncated=self._ended_by is Ended.OUTPUT,
            ended_by=self._ended_by or (Ended.SIGNAL if status < 0 else Ended.EXIT),
            usage=Usage(wall_seconds=clock.monotonic() - began),
        )

    async def _started(self, command: Command) -> asyncio.subprocess.Process:
        """Start the call's group of processes; a cancel meanwhile waits until all can be killed.

        asyncio itself would kill the first process only, and whatever that has begun stays.
        """
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *limited(self._limits, command.argv),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={name: self._outside(value) for name, value in command.env.items()},
                cwd=self._place(command.cwd),
                start_new_session=True,
            )
        )
        try:
            self._process = await undivided(starting)
        except asyncio.CancelledError:
            self._process = await starting
            self._kill()
            await to_the_end(self._process.wait())
            self._process = None
            raise
        return self._process

    async def _fed(self, process: asyncio.subprocess.Process, data: bytes) -> None:
        if process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(data)
            await process.stdin.drain()
        process.stdin.close()

    async def _kept(
        self, stream: asyncio.StreamReader | None, kept: dict[str, bytearray], name: str
    ) -> None:
        while stream is not None and (data := await stream.read(_CHUNK)):
            left = self._limits.output_bytes - sum(map(len, kept.values()))
            kept[name] += data[:left]
            if len(data) > left:
                self._ends(Ended.OUTPUT)

    def _begin(self) -> None:
        self._ended_by = None

    def _ends(self, why: Ended) -> None:
        """End the call that runs now; the first reason counts."""
        self._ended_by = self._ended_by or why
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _place(self, folder: str) -> Path:
        return self._workspace / posixpath.relpath(posixpath.normpath(folder), WORKSPACE)

    def _outside(self, value: str) -> str:
        return str(self._workspace) if value == WORKSPACE else value

    async def cancel(self) -> None:
        self._ends(Ended.CANCELLED)

    async def close(self) -> None:
        self._kill()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()


def _is_root() -> bool:
    return os.geteuid() == 0
