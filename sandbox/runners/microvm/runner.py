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
from pathlib import Path

import msgspec

from sandbox import cgroups
from sandbox.cgroups import Group
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
from sandbox.leases import Held, Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.bubblewrap.arguments import INSIDE_ID, from_root
from sandbox.runners.bubblewrap.session import BubblewrapSession, words_of
from sandbox.runners.ending import to_the_end
from sandbox.runners.link import AgentLink, LinkLostError
from sandbox.runners.microvm.host import Host
from sandbox.runners.microvm.machine import Machine, connect, start
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

    async def abilities(self) -> Abilities:
        problem, remedy = self._host.problem, self._host.remedy
        if not problem and (lacking := quota.problem()):
            problem, remedy = f"A machine needs a disk: {lacking}.", "See docs/operate/sandbox.md."
        if problem:
            return Abilities(name=self.name, strength=Strength.NONE, problem=problem, remedy=remedy)
        missing = dict(cgroups.hierarchy().missing)
        missing.pop(Limit.PIDS, None)  # counted by the machine's own kernel
        missing[Limit.NET] = "no egress gateway is joined to this runner"
        return Abilities(
            name=self.name,
            strength=Strength.MACHINE,
            holds=frozenset(Limit) - missing.keys(),
            missing=missing,
        )

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> BubblewrapSession:
        refuse_unless_held(await self.abilities(), profile, remedy=_REMEDY)
        taking = asyncio.ensure_future(asyncio.to_thread(self._take, workspace))
        try:
            lease = await asyncio.shield(taking)
        except asyncio.CancelledError:
            (await to_the_end(taking)).release()  # a thread cannot be stopped half-way
            raise
        group = cgroups.hierarchy().group(lease.group)
        sockets = Leases(self._folder).sockets(lease)
        remains = Remains(group=group, workspace=workspace, is_mounted=True, sockets=sockets)
        try:
            making = asyncio.ensure_future(
                asyncio.to_thread(_prepare, group, workspace, lease, profile.limits)
            )
            try:
                await asyncio.shield(making)
            except asyncio.CancelledError:
                await to_the_end(making)
                raise
            return await self._launch(remains, lease, profile)
        except BaseException as error:
            await to_the_end(asyncio.to_thread(_clean_up, remains, lease))
            if isinstance(error, OSError):
                raise SandboxUnavailableError(
                    f"The machine could not be made: {error}.", remedy=_REMEDY
                ) from error
            raise

    def _take(self, workspace: Path) -> Lease:
        places = Leases(self._folder)
        lock = places.lock_workspace(workspace)
        try:
            lease = places.take()
        except BaseException:
            lock.release()
            raise
        lease.keep_workspace(lock)
        try:
            lease.write(
                Held(
                    owner=os.getpid(),
                    group=lease.group,
                    workspace=str(workspace),
                    is_mounted=True,
                )
            )
            sockets = places.sockets(lease)
            shutil.rmtree(sockets, ignore_errors=True)
            sockets.mkdir(mode=0o700)
            os.chown(sockets, lease.uid, lease.uid)
        except BaseException:
            lease.release()
            raise
        return lease

    async def _launch(self, remains: Remains, lease: Lease, profile: Profile) -> BubblewrapSession:
        if remains.sockets is None:
            raise OSError("no folder for sockets")
        api, link = remains.sockets / "api", remains.sockets / "vsock"
        with contextlib.ExitStack() as descriptors:
            disks = [
                _opened(self._host.kernel, os.O_RDONLY, descriptors),
                _opened(self._host.root_disk, os.O_RDONLY, descriptors),
                _opened(quota.disk_of(remains.workspace), os.O_RDWR, descriptors),
            ]
            process = await self._process(remains.group, lease, api, disks)
            try:
                await start(api, _machine(profile.limits, disks, link), seconds=_START_SECONDS)
                reader, writer = await connect(link, seconds=_START_SECONDS)
                agent = AgentLink(reader, writer)
                await agent.ready(seconds=_START_SECONDS)
            except (SandboxUnavailableError, LinkLostError) as reason:
                told = await words_of(process)
                raise SandboxUnavailableError(f"{reason} {told}".strip(), remedy="") from reason
            except BaseException:
                process.kill()
                await process.wait()
                raise
        return BubblewrapSession(
            process=process, link=agent, group=remains.group, lease=lease, remains=remains,
            profile=profile,
        )  # fmt: skip

    async def _process(
        self, group: Group, lease: Lease, api: Path, disks: Sequence[int]
    ) -> asyncio.subprocess.Process:
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


def _prepare(group: Group, workspace: Path, lease: Lease, limits: Limits) -> None:
    """Make the disk and the group; the disk goes to the machine's user, unmounted."""
    memory = None if limits.memory_bytes is None else limits.memory_bytes + _OWN_BYTES
    group.create(msgspec.structs.replace(limits, memory_bytes=memory, pids=None))
    size = limits.disk_bytes or _DEFAULT.disk_bytes or 256 * MIB
    quota.attach(workspace, disk_bytes=size)
    try:
        quota.give(workspace, uid=INSIDE_ID)
    finally:
        quota.detach(workspace)
    os.chown(quota.disk_of(workspace), lease.uid, lease.uid)


def _clean_up(remains: Remains, lease: Lease) -> None:
    try:
        take_away(remains)
    except OSError:
        lease.abandon()
    else:
        lease.release()


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
