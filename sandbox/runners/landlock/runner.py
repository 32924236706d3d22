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
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from core.finishing import undivided
from sandbox.cgroups import Group
from sandbox.cgroups.nothing import NoGroup
from sandbox.contracts import Abilities, HostCredential, Isolation, Limit, Profile, Strength
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.leases import Lease, Leases
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.finding import FoundOnce, available, trial, unavailable
from sandbox.runners.landlock.launch import command_line
from sandbox.runners.landlock.session import LandlockSession
from sandbox.runners.opening import Opening, opening
from sandbox.runners.process import missing_program, python, started
from sandbox.seccomp import MACHINES
from sandbox.uids import UserGroup
from sandbox.workspaces import quota

_CREATE_RULESET, _ASK_VERSION = 444, 1
_LEAST_ABI = 6  # signals and named sockets stay inside
_NO_GROUPS = "Landlock has no control groups, so it does not count what all processes use together"
_REMEDY = "Ask for no such limit (null) if you know the work, or for an engine that holds it."


class LandlockRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name = Isolation.LANDLOCK

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._abilities = FoundOnce(self._find_out)

    @cached_property
    def _places(self) -> Leases:
        return Leases(self._folder)

    async def abilities(self) -> Abilities:
        return await self._abilities.get()

    async def _find_out(self) -> Abilities:
        problem, remedy = _missing_part()
        if not problem:
            problem, remedy = await trial(lambda: self._places, self._start)
        if problem:
            return unavailable(self.name, problem, remedy)
        return available(self.name, Strength.RULES, _missing_limits())

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
        if quota.disk_of(workspace).exists():
            raise SandboxRefusedError(
                f"{workspace.name} has a disk of its own, which this engine does not mount.",
                remedy="Use the engine that made it, or begin with a new workspace.",
            )
        async with opening(self._places, workspace, _group_of) as begun:
            begun.record()
            if begun.user is not None:
                await undivided(asyncio.to_thread(quota.give, workspace, uid=begun.user))
            return await self._launch(begun, profile)

    async def _launch(self, begun: Opening, profile: Profile) -> LandlockSession:
        with contextlib.ExitStack() as descriptors:
            words, passed = command_line(
                workspace=begun.remains.workspace,
                limits=profile.limits,
                uid=begun.user,
                python=python() or "python3",
                descriptors=descriptors,
            )
            carrier, link = await started(
                words, passed=passed, group=begun.remains.group, refused=_refused
            )
        return LandlockSession(
            carrier=carrier,
            link=link,
            lease=begun.lease,
            remains=begun.remains,
            limits=profile.limits,
        )


def _group_of(lease: Lease) -> Group:
    return UserGroup(lease.uid) if os.geteuid() == 0 else NoGroup()


def _refused(words: str) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"Landlock did not start a sandbox: {words}.", remedy="See `manage.py sandbox doctor`."
    )


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
    return missing_program("prlimit", "setpriv")


def abi() -> int:
    """Return the kernel's version of Landlock; below 1 when it has none."""
    asked: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return asked
