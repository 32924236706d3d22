"""Opening a virtual machine: one Firecracker process for each session, under a user of its own.

The workspace's disk is the machine's second drive and is not mounted on the host meanwhile. The
files go in by inherited descriptors, because the machine's user can reach none of their folders.
"""

import asyncio
import contextlib
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import msgspec

from core.finishing import undivided
from sandbox import cgroups
from sandbox.contracts import (
    MIB,
    Abilities,
    HostCredential,
    Isolation,
    Limit,
    Limits,
    Profile,
    Strength,
)
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.bubblewrap.arguments import INSIDE_ID
from sandbox.runners.finding import available, unavailable
from sandbox.runners.link import AgentLink, LinkLostError
from sandbox.runners.microvm.host import Host
from sandbox.runners.microvm.machine import Machine, connect, start
from sandbox.runners.opening import Opening, opening
from sandbox.runners.process import ProcessCarrier, ended_on_failure, last_words
from sandbox.runners.rights import from_root
from sandbox.runners.session import AgentSession
from sandbox.workspaces import quota

_START_SECONDS = 20.0
_OWN_BYTES = 64 * MIB  # what Firecracker itself uses beside the machine's memory
_DEFAULT = Limits()
_REMEDY = "Ask for limits the engine can hold; see `manage.py sandbox doctor`."


class MicrovmRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name = Isolation.MICROVM

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host

    @cached_property
    def _places(self) -> Leases:
        return Leases(self._folder)

    async def abilities(self) -> Abilities:
        problem, remedy = self._host.problem, self._host.remedy
        if not problem and (lacking := quota.problem()):
            problem, remedy = f"A machine needs a disk: {lacking}.", "See docs/operate/sandbox.md."
        if problem:
            return unavailable(self.name, problem, remedy)
        missing = dict(cgroups.hierarchy().missing)
        missing.pop(Limit.PIDS, None)  # counted by the machine's own kernel
        missing[Limit.NET] = "no egress gateway is joined to this runner"
        return available(self.name, Strength.MACHINE, missing)

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> AgentSession:
        refuse_unless_held(await self.abilities(), profile, remedy=_REMEDY)
        async with opening(
            self._places,
            workspace,
            lambda lease: cgroups.hierarchy().group(lease.group),
            thing="machine",
            remedy=_REMEDY,
        ) as begun:
            begun.record(is_mounted=True)
            sockets = self._places.sockets(begun.lease)
            begun.remains = replace(begun.remains, is_mounted=True, sockets=sockets)
            await undivided(asyncio.to_thread(_prepare, begun, sockets, profile.limits))
            return await self._launch(begun, sockets, profile.limits)

    async def _launch(self, begun: Opening, sockets: Path, limits: Limits) -> AgentSession:
        api, vsock = sockets / "api", sockets / "vsock"
        with contextlib.ExitStack() as descriptors:
            disks = [
                _opened(self._host.kernel, os.O_RDONLY, descriptors),
                _opened(self._host.root_disk, os.O_RDONLY, descriptors),
                _opened(quota.disk_of(begun.remains.workspace), os.O_RDWR, descriptors),
            ]
            process = await self._process(begun, api, disks)
            async with ended_on_failure(process):
                try:
                    await start(api, _machine(limits, disks, vsock), seconds=_START_SECONDS)
                    reader, writer = await connect(vsock, seconds=_START_SECONDS)
                    link = AgentLink(reader, writer)
                    await link.ready(seconds=_START_SECONDS)
                except (SandboxUnavailableError, LinkLostError) as reason:
                    told = await last_words(process)
                    raise SandboxUnavailableError(f"{reason} {told}".strip(), remedy="") from reason
        return AgentSession(
            carrier=ProcessCarrier(process, begun.remains.group),
            link=link,
            lease=begun.lease,
            remains=begun.remains,
            limits=limits,
        )

    async def _process(
        self, begun: Opening, api: Path, disks: Sequence[int]
    ) -> asyncio.subprocess.Process:
        group, lease = begun.remains.group, begun.lease
        words = [str(self._host.program), "--id", lease.group, "--api-sock", str(api)]
        return await asyncio.create_subprocess_exec(
            *from_root(groups=group.folders, uid=lease.uid, rest=words, more_groups=_kvm_groups()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=disks,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            cwd="/",
            start_new_session=True,
        )


def _machine(limits: Limits, disks: Sequence[int], link: Path) -> Machine:
    kernel, root_disk, workspace_disk = (f"/proc/self/fd/{number}" for number in disks)
    held = {"nofile": limits.open_files, "fsize": limits.file_bytes, "nproc": limits.pids}
    return Machine(
        processors=max(1, math.ceil(limits.cpu or os.cpu_count() or 1)),
        memory_mib=max(64, (limits.memory_bytes or _default_memory()) // MIB),
        kernel=kernel,
        root_disk=root_disk,
        workspace_disk=workspace_disk,
        link=str(link),
        words=" ".join(f"agentry.{name}={value}" for name, value in held.items() if value),
    )


def _default_memory() -> int:
    return _DEFAULT.memory_bytes or 512 * MIB


def _prepare(begun: Opening, sockets: Path, limits: Limits) -> None:
    """Make the sockets' folder, the group and the disk, which goes to the machine's user."""
    workspace, uid = begun.remains.workspace, begun.lease.uid
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir(mode=0o700)
    os.chown(sockets, uid, uid)
    memory = None if limits.memory_bytes is None else limits.memory_bytes + _OWN_BYTES
    begun.remains.group.create(msgspec.structs.replace(limits, memory_bytes=memory, pids=None))
    size = limits.disk_bytes or _DEFAULT.disk_bytes or 256 * MIB
    quota.attach(workspace, disk_bytes=size)
    try:
        quota.give(workspace, uid=INSIDE_ID)
    finally:
        quota.detach(workspace)
    os.chown(quota.disk_of(workspace), uid, uid)


def _opened(file: Path, flags: int, descriptors: contextlib.ExitStack) -> int:
    descriptor = os.open(file, flags | os.O_CLOEXEC)
    descriptors.callback(os.close, descriptor)
    return descriptor


def _kvm_groups() -> tuple[int, ...]:
    """Return the group of /dev/kvm, which its user needs to make machines."""
    try:
        return (Path("/dev/kvm").stat().st_gid,)
    except OSError:
        return ()
