"""Opening a Landlock sandbox: rules on paths, no sockets, a user of its own when root makes it.

The kernel refuses what the rules do not name; all else is the host's own: the work sees the names
and sizes of files (not their content), the host's processor, memory and clock, and its paths:
there is no /workspace, only the folder a command starts in. What needs more is refused.
"""

import asyncio
import contextlib
import ctypes
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.cgroups.contract import Group
from sandbox.cgroups.nothing import NoGroup
from sandbox.contracts import (
    Abilities,
    HostCredential,
    Isolation,
    Limit,
    Limits,
    Profile,
    Strength,
)
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.leases import Held, Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.bubblewrap.session import words_of
from sandbox.runners.ending import to_the_end
from sandbox.runners.landlock.launch import command_line
from sandbox.runners.landlock.session import LandlockSession
from sandbox.runners.link import LINE_BYTES, AgentLink, LinkLostError
from sandbox.seccomp import MACHINES
from sandbox.uids import UserGroup
from sandbox.workspaces import quota

_CREATE_RULESET, _ASK_VERSION = 444, 1
_LEAST_ABI = 6  # signals and named sockets stay inside
_START_SECONDS = 20.0
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
_NO_GROUPS = "Landlock has no control groups, so it does not count what all processes use together"
_REMEDY = "Ask for no such limit (null) if you know the work, or for an engine that holds it."


class LandlockRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name = Isolation.LANDLOCK

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._abilities: Abilities | None = None
        self._finding_out = asyncio.Lock()

    async def abilities(self) -> Abilities:
        async with self._finding_out:
            if self._abilities is None:
                self._abilities = await self._find_out()
            return self._abilities

    async def _find_out(self) -> Abilities:
        problem, remedy = _missing_part()
        if not problem:
            problem, remedy = await self._try()
        if problem:
            return Abilities(name=self.name, strength=Strength.NONE, problem=problem, remedy=remedy)
        missing = _missing_limits()
        return Abilities(
            name=self.name,
            strength=Strength.RULES,
            holds=frozenset(Limit) - missing.keys(),
            missing=missing,
        )

    async def _try(self) -> tuple[str, str]:
        free = Profile(limits=Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None))
        try:
            workspace = Leases(self._folder).trial()
            try:
                async with await self._start(workspace, free):
                    return "", ""
            finally:
                workspace.rmdir()
        except SandboxUnavailableError as error:
            return error.message, error.remedy

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> LandlockSession:
        refuse_unless_held(await self.abilities(), profile, remedy=_REMEDY)
        if profile.is_read_only:
            raise SandboxRefusedError(
                "Landlock keeps no workspace from being written.",
                remedy="Use an engine with a file system of its own.",
            )
        return await self._start(workspace, profile)

    async def _start(self, workspace: Path, profile: Profile) -> LandlockSession:
        taking = asyncio.ensure_future(asyncio.to_thread(self._take, workspace))
        try:
            lease = await asyncio.shield(taking)
        except asyncio.CancelledError:
            (await to_the_end(taking)).release()  # a thread cannot be stopped half-way
            raise
        group: Group = UserGroup(lease.uid) if os.geteuid() == 0 else NoGroup()
        remains = Remains(group=group, workspace=workspace)
        try:
            return await self._launch(remains, lease, profile)
        except BaseException as error:
            await to_the_end(asyncio.to_thread(_clean_up, remains, lease))
            if isinstance(error, OSError):
                raise SandboxUnavailableError(
                    f"The sandbox could not be made: {error}.",
                    remedy="See `manage.py sandbox doctor`.",
                ) from error
            raise

    def _take(self, workspace: Path) -> Lease:
        """Return a place that has the workspace for itself."""
        if quota.disk_of(workspace).exists():
            raise SandboxRefusedError(
                f"{workspace.name} has a disk of its own, which this engine does not mount.",
                remedy="Use the engine that made it, or begin with a new workspace.",
            )
        places = Leases(self._folder)
        lock = places.lock_workspace(workspace)
        try:
            lease = places.take()
        except BaseException:
            lock.release()
            raise
        lease.keep_workspace(lock)
        try:
            lease.write(Held(owner=os.getpid(), group=lease.group, workspace=str(workspace)))
            if os.geteuid() == 0:
                quota.give(workspace, uid=lease.uid)
        except BaseException:
            lease.release()
            raise
        return lease

    async def _launch(self, remains: Remains, lease: Lease, profile: Profile) -> LandlockSession:
        with contextlib.ExitStack() as descriptors:
            words, passed = command_line(
                workspace=remains.workspace,
                limits=profile.limits,
                uid=lease.uid if os.geteuid() == 0 else None,
                python=_python() or "python3",
                descriptors=descriptors,
            )
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=passed,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
                cwd="/",
                limit=LINE_BYTES,
                start_new_session=True,
            )
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        link = AgentLink(process.stdout, process.stdin)
        try:
            await link.ready(seconds=_START_SECONDS)
        except LinkLostError as reason:
            told = await words_of(process)
            raise SandboxUnavailableError(
                f"Landlock did not start a sandbox: {told or reason}.",
                remedy="See `manage.py sandbox doctor`.",
            ) from reason
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return LandlockSession(
            process=process, link=link, group=remains.group, lease=lease, remains=remains,
            profile=profile,
        )  # fmt: skip


def _clean_up(remains: Remains, lease: Lease) -> None:
    try:
        take_away(remains)
    except OSError:
        lease.abandon()
    else:
        lease.release()


def _missing_limits() -> dict[Limit, str]:
    missing = dict.fromkeys((Limit.CPU, Limit.MEMORY), _NO_GROUPS)
    missing[Limit.DISK] = "Landlock has no disk of its own for a workspace"
    missing[Limit.NET] = "no socket can be made in it, and so no host be reached"
    if os.geteuid() != 0:
        missing[Limit.PIDS] = "only root may give a sandbox a user of its own to count"
    return missing


def _missing_part() -> tuple[str, str]:
    """Return what is not there at all, and the remedy."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        return (
            f"Landlock is not used on {sys.platform} {platform.machine()}.",
            f"Use Linux on one of: {', '.join(MACHINES)}.",
        )
    if (found := abi()) < _LEAST_ABI:
        return (
            f"The kernel has Landlock in version {found}, and {_LEAST_ABI} is needed."
            if found > 0
            else "The kernel has no Landlock, or it is switched off.",
            "Use Linux 6.12 or newer with `landlock` among the modules of lsm=.",
        )
    if _python() is None:
        return (
            "There is no Python below /usr for the session agent.",
            "Install it: apt-get install python3-minimal libpython3-stdlib.",
        )
    absent = [name for name in ("prlimit", "setpriv") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} is not installed.", "Install util-linux."
    return "", ""


def abi() -> int:
    """Return the kernel's version of Landlock; below 1 when it has none."""
    asked: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return asked


def _python() -> str | None:
    return next((place for place in _PYTHONS if os.access(place, os.X_OK)), None)
