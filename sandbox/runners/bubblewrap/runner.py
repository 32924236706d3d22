"""Opening a bubblewrap sandbox: what this host can hold, checked by trying, then the real one.

As root every sandbox has a control group, a user of its own and a workspace with a quota, and drops
to that user before `bwrap` starts. As another user only what `bwrap` and the limits of a single
process can hold is offered; what else is asked for is refused.
"""

import asyncio
import contextlib
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import msgspec

from core.finishing import undivided
from sandbox import cgroups
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
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.runners.asking import refuse_unless_held
from sandbox.runners.bubblewrap import arguments
from sandbox.runners.finding import FoundOnce, available, trial, unavailable
from sandbox.runners.opening import Opening, opening
from sandbox.runners.process import in_memory, missing_program, python, started
from sandbox.runners.rights import from_root, limited
from sandbox.runners.session import AgentSession
from sandbox.seccomp import MACHINES, compiled
from sandbox.workspaces import quota

_OWN_PROCESSES = 2  # bwrap and the session agent, counted by the group
_OPENING_AT_ONCE = 4
_REMEDY = "Run the sandbox worker as root, or ask for no such limit (null)."
_INSIDE = Path(__file__).parents[2] / "inside"


class BubblewrapRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name = Isolation.BUBBLEWRAP

    def __init__(self, folder: Path, *, outside: Outside | None = None) -> None:
        """`outside` is what egress gateways know of the world."""
        self._folder = folder
        self._outside = outside
        self._abilities = FoundOnce(self._find_out)
        self._openings = asyncio.Semaphore(_OPENING_AT_ONCE)

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
        return available(self.name, Strength.NAMESPACES, _missing_limits())

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> AgentSession:
        refuse_unless_held(await self.abilities(), profile, remedy=_REMEDY)
        gateway = None
        if profile.net or credentials:
            gateway = Gateway(
                profile.net,
                credentials,
                open_files=profile.limits.open_files,
                outside=self._outside,
            )
        return await self._start(workspace, profile, gateway)

    async def _start(
        self, workspace: Path, profile: Profile, gateway: Gateway | None = None
    ) -> AgentSession:
        async with (
            self._openings,
            opening(
                self._places,
                workspace,
                lambda lease: cgroups.hierarchy().group(lease.group),
                gateway=gateway,
            ) as begun,
        ):
            begun.record(is_mounted=profile.limits.disk_bytes is not None)
            await undivided(asyncio.to_thread(self._prepare, begun, profile.limits))
            await begun.open_way(self._places.egress(begun.lease))
            return await self._launch(begun, profile)

    def _prepare(self, begun: Opening, limits: Limits) -> None:
        """Make the group and the workspace ready."""
        workspace = begun.remains.workspace
        if limits.pids is not None:
            counted = msgspec.structs.replace(limits, pids=limits.pids + _OWN_PROCESSES)
        else:
            counted = limits
        begun.remains.group.create(counted)
        begun.mount(limits.disk_bytes)
        if begun.user is not None:
            quota.give(workspace, uid=begun.user)
            # Where its user can reach its workspace, whatever lies above that.
            seat = self._places.seat(begun.lease)
            begun.remains = replace(begun.remains, seat=seat)
            quota.bind(workspace, seat)

    async def _launch(self, begun: Opening, profile: Profile) -> AgentSession:
        with contextlib.ExitStack() as descriptors:
            words, passed = _command_line(begun, profile, descriptors)
            carrier, link = await started(
                words, passed=passed, group=begun.remains.group, refused=_refused
            )
        return AgentSession(
            carrier=carrier,
            link=link,
            lease=begun.lease,
            remains=begun.remains,
            limits=profile.limits,
            gateway=begun.gateway,
        )


def _command_line(
    begun: Opening, profile: Profile, descriptors: contextlib.ExitStack
) -> tuple[list[str], Sequence[int]]:
    remains, gateway = begun.remains, begun.gateway
    files = {f"/etc/{name}": content for name, content in arguments.ETC.items()}
    files[arguments.AGENT] = (_INSIDE / "session_agent.py").read_bytes()
    folders, relay = {}, ""
    if gateway is not None and remains.egress is not None:
        files[arguments.RELAY] = (_INSIDE / "relay.py").read_bytes()
        files["/etc/hosts"] += "".join(f"{line}\n" for line in gateway.hosts).encode()
        folders[INSIDE] = remains.egress
        relay = gateway.ways.for_relay(f"{INSIDE}/{SOCKET}")
    inside = {name: in_memory(data, descriptors) for name, data in files.items()}
    calls = in_memory(compiled(platform.machine()), descriptors)
    words = arguments.bwrap(
        program=_bwrap() or "bwrap",
        workspace=remains.seat or remains.workspace,
        files=inside,
        filter_descriptor=calls,
        python=python() or "python3",
        folders=folders,
        relay=relay,
        is_read_only=profile.is_read_only,
    )
    words = limited(profile.limits, words)
    if begun.user is not None:
        words = from_root(groups=remains.group.folders, uid=begun.user, rest=words)
    return words, [*inside.values(), calls]


def _refused(words: str) -> SandboxUnavailableError:
    return SandboxUnavailableError(
        f"bubblewrap did not start a sandbox: {words}.", remedy=_remedy(words)
    )


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
    return missing_program("prlimit", "setpriv", "mount")


def _bwrap() -> str | None:
    return shutil.which("bwrap")


def _remedy(words: str) -> str:
    if "namespace" in words or "uid map" in words or "Operation not permitted" in words:
        return (
            "Allow user namespaces: sysctl user.max_user_namespaces, on Ubuntu "
            "kernel.apparmor_restrict_unprivileged_userns=0; in a container they need "
            "--privileged, or seccomp and AppArmor profiles that allow them."
        )
    return "See `manage.py sandbox doctor`."
