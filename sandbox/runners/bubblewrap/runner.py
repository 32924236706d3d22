"""Opening a bubblewrap sandbox: what this host can hold, checked by trying, then the real one.

As root every sandbox has a control group, a user of its own and a workspace with a quota, and drops
to that user before `bwrap` starts. As another user only what `bwrap` and the limits of a single
process can hold is offered; what else is asked for is refused.
"""

import asyncio
import contextlib
import dataclasses
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from sandbox import cgroups
from sandbox.cgroups import Group
from sandbox.contracts import (
    Abilities,
    HostCredential,
    Isolation,
    Limit,
    Limits,
    Profile,
    Strength,
)
from sandbox.egress import INSIDE, SOCKET, Gateway, Outside
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.leases import Held, Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.runners.bubblewrap import arguments
from sandbox.runners.bubblewrap.session import BubblewrapSession, words_of
from sandbox.runners.ending import to_the_end
from sandbox.runners.link import LINE_BYTES, AgentLink, LinkLostError
from sandbox.seccomp import MACHINES, compiled
from sandbox.workspaces import quota

_START_SECONDS = 20.0
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
_OWN_PROCESSES = 2  # bwrap and the session agent, counted by the group
_ALWAYS = frozenset({Limit.WALL, Limit.OUTPUT, Limit.OPEN_FILES, Limit.FILE})
_OPENING_AT_ONCE = 4
_REMEDY = "Run the sandbox worker as root, or ask for no such limit (null)."
_INSIDE = Path(__file__).parents[2] / "inside"


class BubblewrapRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name = Isolation.BUBBLEWRAP

    def __init__(self, folder: Path, *, outside: Outside | None = None) -> None:
        """`outside` is what egress gateways know of the world; other than real in tests only."""
        self._folder = folder
        self._outside = outside
        self._leases: Leases | None = None
        self._abilities: Abilities | None = None
        self._finding_out = asyncio.Lock()
        self._openings = asyncio.Semaphore(_OPENING_AT_ONCE)

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
            strength=Strength.NAMESPACES,
            holds=frozenset(Limit) - missing.keys(),
            missing=missing,
        )

    async def _try(self) -> tuple[str, str]:
        """Start and end one sandbox with no limits but those that always hold."""
        free = Profile(limits=Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None))
        try:
            workspace = self._places().trial()
            try:
                async with await self._start(workspace, free):
                    return "", ""
            finally:
                workspace.rmdir()
        except SandboxUnavailableError as error:
            return error.message, error.remedy

    def _places(self) -> Leases:
        if self._leases is None:
            self._leases = Leases(self._folder)
        return self._leases

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> BubblewrapSession:
        abilities = await self.abilities()
        if not abilities.is_available:
            raise SandboxUnavailableError(abilities.problem, remedy=abilities.remedy)
        if profile.isolation not in {Isolation.SITE, self.name}:
            raise SandboxRefusedError(
                f"This runner is {self.name}, and {profile.isolation} was asked for.",
                remedy=f"Ask for {self.name}, or send the call to the other runner.",
            )
        if lacking := sorted(profile.asked() - abilities.holds):
            raise SandboxRefusedError(
                " ".join(f"{limit} cannot be held: {abilities.missing[limit]}."
                         for limit in lacking),
                remedy=_REMEDY,
            )  # fmt: skip
        gateway = None
        if profile.net or credentials:
            gateway = Gateway(profile.net, credentials, outside=self._outside)
        return await self._start(workspace, profile, gateway)

    async def _start(
        self, workspace: Path, profile: Profile, gateway: Gateway | None = None
    ) -> BubblewrapSession:
        async with self._openings:
            places = self._places()
            lock = places.lock_workspace(workspace)
            taking = asyncio.ensure_future(asyncio.to_thread(places.take))
            try:
                lease = await asyncio.shield(taking)
            except BaseException:
                try:
                    (await to_the_end(taking)).release()
                finally:
                    lock.release()
                raise
            lease.keep_workspace(lock)
            group = cgroups.hierarchy().group(lease.group)
            remains = Remains(group=group, workspace=workspace)
            try:
                await self._written(lease, workspace, profile)
                making = asyncio.ensure_future(
                    asyncio.to_thread(_prepare, group, workspace, lease, profile, self._seat(lease))
                )
                try:
                    remains = await asyncio.shield(making)
                except asyncio.CancelledError:
                    remains = await to_the_end(making)  # a thread cannot be stopped half-way
                    raise
                if gateway is not None:
                    remains = dataclasses.replace(remains, egress=places.egress(lease))
                    uid = lease.uid if os.geteuid() == 0 else None
                    await gateway.start(places.egress(lease), uid=uid)
                return await self._launch(remains, lease, profile, gateway)
            except BaseException as error:
                if gateway is not None:
                    await to_the_end(gateway.close())
                await to_the_end(asyncio.to_thread(_clean_up, remains, lease))
                if isinstance(error, OSError):
                    raise SandboxUnavailableError(
                        f"The sandbox could not be made: {error}.",
                        remedy="See `manage.py sandbox doctor`.",
                    ) from error
                raise

    async def _written(self, lease: Lease, workspace: Path, profile: Profile) -> None:
        """Name what is about to be made, so that whatever is made has a place that names it."""
        has_disk = profile.limits.disk_bytes is not None
        lease.write(
            Held(
                owner=os.getpid(), group=lease.group, workspace=str(workspace), is_mounted=has_disk
            )
        )

    def _seat(self, lease: Lease) -> Path | None:
        """Return where the sandbox's user can reach its workspace, whatever lies above that."""
        return self._places().seat(lease) if os.geteuid() == 0 else None

    async def _launch(
        self, remains: Remains, lease: Lease, profile: Profile, gateway: Gateway | None
    ) -> BubblewrapSession:
        with contextlib.ExitStack() as descriptors:
            words, passed = self._command_line(remains, lease, profile, gateway, descriptors)
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
            words_told = await words_of(process)
            raise SandboxUnavailableError(
                f"bubblewrap did not start a sandbox: {words_told or reason}.",
                remedy=_remedy(words_told),
            ) from reason
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return BubblewrapSession(
            process=process, link=link, group=remains.group, lease=lease, remains=remains,
            profile=profile, gateway=gateway,
        )  # fmt: skip

    def _command_line(
        self,
        remains: Remains,
        lease: Lease,
        profile: Profile,
        gateway: Gateway | None,
        descriptors: contextlib.ExitStack,
    ) -> tuple[list[str], Sequence[int]]:
        files = {f"/etc/{name}": content for name, content in arguments.ETC.items()}
        files[arguments.AGENT] = (_INSIDE / "session_agent.py").read_bytes()
        folders, relay = {}, ""
        if gateway is not None and remains.egress is not None:
            files[arguments.RELAY] = (_INSIDE / "relay.py").read_bytes()
            files["/etc/hosts"] += "".join(f"{line}\n" for line in gateway.hosts).encode()
            files |= gateway.files
            folders[INSIDE] = remains.egress
            relay = gateway.ways.for_relay(f"{INSIDE}/{SOCKET}")
        inside = {name: _in_memory(data, descriptors) for name, data in files.items()}
        calls = _in_memory(compiled(platform.machine()), descriptors)
        is_root = os.geteuid() == 0
        words = arguments.bwrap(
            program=_bwrap() or "bwrap",
            workspace=remains.seat or remains.workspace,
            files=inside,
            filter_descriptor=calls,
            python=_python() or "python3",
            folders=folders,
            relay=relay,
            is_read_only=profile.is_read_only,
        )
        words = arguments.limited(profile.limits, words)
        if is_root:
            words = arguments.from_root(
                groups=remains.group.folders,
                uid=lease.uid,
                rest=words,
            )
        return words, [*inside.values(), calls]


def _prepare(
    group: Group, workspace: Path, lease: Lease, profile: Profile, seat: Path | None
) -> Remains:
    """Make the group and the workspace ready; undo what was made when that fails."""
    limits = profile.limits
    if limits.pids is not None:
        limits = msgspec.structs.replace(limits, pids=limits.pids + _OWN_PROCESSES)
    is_mounted = False
    try:
        group.create(limits)
        if limits.disk_bytes is not None:
            quota.attach(workspace, disk_bytes=limits.disk_bytes)
            # Whoever has the workspace's lock unmounts it, also when a dead owner mounted it.
            is_mounted = True
        if seat is not None:
            quota.give(workspace, uid=lease.uid)
            quota.bind(workspace, seat)
    except BaseException:
        take_away(Remains(group=group, workspace=workspace, is_mounted=is_mounted, seat=seat))
        raise
    return Remains(group=group, workspace=workspace, is_mounted=is_mounted, seat=seat)


def _clean_up(remains: Remains, lease: Lease) -> None:
    try:
        take_away(remains)
    except (OSError, SandboxUnavailableError):
        lease.abandon()
    else:
        lease.release()


def _in_memory(data: bytes, descriptors: contextlib.ExitStack) -> int:
    """Return a descriptor to read `data` from, closed with the stack."""
    descriptor = os.memfd_create("agentry-sandbox")
    descriptors.callback(os.close, descriptor)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _missing_limits() -> dict[Limit, str]:
    missing = dict(cgroups.hierarchy().missing)
    if problem := quota.problem():
        missing[Limit.DISK] = problem
    return missing


def _missing_part() -> tuple[str, str]:
    """Return what is not there at all, and the remedy."""
    if sys.platform != "linux":
        return "bubblewrap needs Linux.", "Use a host with Linux, or another engine."
    if platform.machine() not in MACHINES:
        return (
            f"There is no table of system calls for {platform.machine()}.",
            f"Use one of: {', '.join(MACHINES)}.",
        )
    if _bwrap() is None:
        return "bubblewrap is not installed.", "Install it: apt-get install bubblewrap."
    if _python() is None:
        return (
            "There is no Python below /usr for the session agent.",
            "Install it: apt-get install python3-minimal libpython3-stdlib.",
        )
    absent = [name for name in ("prlimit", "setpriv", "mount") if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} is not installed.", "Install util-linux."
    return "", ""


def _bwrap() -> str | None:
    return shutil.which("bwrap")


def _python() -> str | None:
    return next((place for place in _PYTHONS if os.access(place, os.X_OK)), None)


def _remedy(words: str) -> str:
    if "namespace" in words or "uid map" in words or "Operation not permitted" in words:
        return (
            "Allow user namespaces: sysctl user.max_user_namespaces, on Ubuntu "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container they need "
            "--privileged, or seccomp and AppArmor profiles that allow them."
        )
    return "See `manage.py sandbox doctor`."
