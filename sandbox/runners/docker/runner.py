"""Opening a container as a sandbox: what the engine of this host can hold, checked by trying.

One container is kept warm for each session, with the session agent as its process 1, so that a call
costs no start. gVisor is the same with another runtime, and counts processes its own way.
"""

import asyncio
import contextlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from core.ids import new_id
from sandbox import cgroups
from sandbox.contracts import (
    Abilities,
    Command,
    HostCredential,
    Isolation,
    Limit,
    Limits,
    Profile,
    Strength,
)
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.images import Image, named
from sandbox.leases import Held, Lease, Leases
from sandbox.remains import Remains, take_away
from sandbox.runners.docker import settings
from sandbox.runners.docker.engine import Description, Engine, EngineError, NoSuchThingError
from sandbox.runners.docker.frames import FrameReader
from sandbox.runners.docker.group import ContainerGroup
from sandbox.runners.docker.inside import files_for
from sandbox.runners.docker.session import DockerSession
from sandbox.runners.ending import to_the_end, undivided
from sandbox.runners.link import LINE_BYTES, AgentLink, LinkLostError
from sandbox.runners.places import cleaned_up, taken
from sandbox.seccomp import MACHINES
from sandbox.workspaces import quota

_START_SECONDS = 60.0
_OPENING_AT_ONCE = 6
_ALWAYS = frozenset({Limit.WALL, Limit.OUTPUT, Limit.OPEN_FILES, Limit.FILE})
_KERNEL_TASKS, _TASKS_OF_A_PROCESS = 100, 10  # of gVisor
_NO_GATEWAY = "no gateway to other hosts is joined to containers"
_REMEDY = "Ask for no such limit (null), or for an engine that holds it; see the doctor."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What has been found out: the abilities, and the content the image's name stood for."""

    abilities: Abilities
    image: str = ""


class DockerRunner:
    """See `sandbox.contracts.Runner`. One for each event loop; `folder` holds locks and places."""

    name: ClassVar[Isolation] = Isolation.DOCKER
    strength: ClassVar[Strength] = Strength.NAMESPACES
    runtime: ClassVar[str] = "runc"
    absent_remedy: ClassVar[str] = "Join a runtime named runc to the Docker daemon."

    def __init__(
        self, folder: Path, *, engine: Engine, image: str = "", found: Found | None = None
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._image_name = image
        self._leases: Leases | None = None
        self._found = found
        self._finding_out = asyncio.Lock()
        self._openings = asyncio.Semaphore(_OPENING_AT_ONCE)

    @property
    def found(self) -> Found | None:
        """Return what has been found out so far, for another runner of the same engine."""
        return self._found

    async def abilities(self) -> Abilities:
        return (await self._find()).abilities

    async def _find(self) -> Found:
        """A daemon that is missing may come; what it can do is found out once."""
        async with self._finding_out:
            if self._found is not None:
                return self._found
            found = await self._find_out()
            if found.abilities.is_available:
                self._found = found
            return found

    async def _find_out(self) -> Found:
        try:
            daemon, image = await asyncio.to_thread(self._ask)
            await self._try(image)
        except SandboxUnavailableError as error:
            return Found(abilities=self._unavailable(error.message, error.remedy))
        except SandboxRefusedError as error:
            return Found(abilities=self._unavailable(error.message, error.remedy))
        missing = self._missing(daemon)
        abilities = Abilities(
            name=self.name,
            strength=self.strength,
            holds=frozenset(Limit) - missing.keys(),
            missing=missing,
        )
        return Found(abilities=abilities, image=image)

    def _unavailable(self, problem: str, remedy: str) -> Abilities:
        return Abilities(name=self.name, strength=Strength.NONE, problem=problem, remedy=remedy)

    def _ask(self) -> tuple[Description, str]:
        """Return what the daemon says of itself, and the id of the image."""
        image = named(self._image_name)
        if platform.machine() not in MACHINES:
            raise SandboxUnavailableError(
                f"There is no filter of system calls for {platform.machine()}.",
                remedy=f"Use one of: {', '.join(sorted(MACHINES))}.",
            )
        try:
            daemon = self._engine.describe()
        except EngineError as error:
            raise SandboxUnavailableError(
                f"The Docker engine does not answer at {self._engine.url}: {error}.",
                remedy="Install and start Docker (apt-get install docker.io), name its socket in "
                "AGENTRY_SANDBOX_DOCKER, and let this process reach it.",
            ) from error
        if self.runtime not in daemon.runtimes:
            raise SandboxUnavailableError(
                f"The Docker engine has no runtime named {self.runtime}.", remedy=self.absent_remedy
            )
        if daemon.maps_users:
            raise SandboxUnavailableError(
                "The Docker engine gives users other ids (rootless, or userns-remap).",
                remedy="Use a daemon of its own for sandboxes without that: a workspace is given "
                "to a user that exists once.",
            )
        return daemon, self._image_id(image)

    def _image_id(self, image: Image) -> str:
        try:
            facts = self._engine.image(image.name)
        except NoSuchThingError as error:
            raise SandboxUnavailableError(
                f"The sandbox image {image.name} is not on this host.", remedy=image.remedy
            ) from error
        except EngineError as error:
            raise SandboxUnavailableError(
                f"The sandbox image {image.name} cannot be looked at: {error}.",
                remedy="See the log of the Docker daemon.",
            ) from error
        if facts.volumes:
            raise SandboxRefusedError(
                f"The sandbox image {image.name} declares volumes ({', '.join(facts.volumes)}), "
                "which could be written without a limit.",
                remedy="Use an image without VOLUME.",
            )
        return facts.id

    async def _try(self, image: str) -> None:
        """Start and end one sandbox, and see that its workspace is this host's folder."""
        free = Profile(limits=Limits(cpu=None, memory_bytes=None, pids=None, disk_bytes=None))
        workspace = self._places().trial()
        try:
            token = new_id().hex
            (workspace / "token").write_text(token)
            async with await self._start(workspace, free, image) as session:
                outcome = await session.run(Command(argv=("cat", "token")))
                is_seen = bool(session.group.folders)
        finally:
            (workspace / "token").unlink(missing_ok=True)
            workspace.rmdir()
        if outcome.stdout.decode(errors="replace") != token or not is_seen:
            words = outcome.stderr.decode(errors="replace").strip()
            raise SandboxUnavailableError(
                f"The Docker engine is not of this host, or sees other files than we: {words}",
                remedy="Run the sandbox worker where the daemon runs, not in a container.",
            )

    def _missing(self, daemon: Description) -> dict[Limit, str]:
        found = {Limit.NET: _NO_GATEWAY}
        if not daemon.has_memory_limit:
            found[Limit.MEMORY] = "the Docker engine cannot limit memory on this kernel"
        elif not daemon.has_swap_limit and _has_swap():
            found[Limit.MEMORY] = "the kernel does not count swap (boot it with swapaccount=1)"
        if not daemon.has_pids_limit:
            found[Limit.PIDS] = "the Docker engine cannot limit processes on this kernel"
        if not daemon.has_cpu_limit:
            found[Limit.CPU] = "the Docker engine cannot limit the processors on this kernel"
        if problem := quota.problem():
            found[Limit.DISK] = problem
        return found

    def _places(self) -> Leases:
        if self._leases is None:
            self._leases = Leases(self._folder)
        return self._leases

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> DockerSession:
        found = await self._find()
        abilities = found.abilities
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
        return await self._start(workspace, profile, found.image)

    async def _start(self, workspace: Path, profile: Profile, image: str) -> DockerSession:
        async with self._openings:
            places = self._places()
            lease = await taken(places, workspace)
            name = f"agentry-{lease.group}"
            group = ContainerGroup(self._engine, name)
            remains = Remains(group=group, workspace=workspace)
            try:
                await self._written(lease, workspace, profile, name)
                making = asyncio.ensure_future(
                    asyncio.to_thread(self._prepare, group, workspace, lease, profile, image, name)
                )
                try:
                    remains = await asyncio.shield(making)
                except asyncio.CancelledError:
                    remains = await to_the_end(making)  # a thread cannot be stopped half-way
                    raise
                return await self._launch(remains, lease, profile, name)
            except BaseException as error:
                await to_the_end(asyncio.to_thread(cleaned_up, remains, lease))
                if isinstance(error, OSError | EngineError):
                    raise SandboxUnavailableError(
                        f"The sandbox could not be made: {error}.",
                        remedy="See `manage.py sandbox doctor`, and the log of the Docker daemon.",
                    ) from error
                raise

    async def _written(self, lease: Lease, workspace: Path, profile: Profile, name: str) -> None:
        """Name what is about to be made, so that whatever is made has a place that names it."""
        has_disk = profile.limits.disk_bytes is not None
        lease.write(
            Held(owner=os.getpid(), group=lease.group, workspace=str(workspace),
                 is_mounted=has_disk, container=name)
        )  # fmt: skip

    def _prepare(
        self,
        group: ContainerGroup,
        workspace: Path,
        lease: Lease,
        profile: Profile,
        image: str,
        name: str,
    ) -> Remains:
        """Make the workspace ready and create the container; undo what was made when that fails."""
        limits, is_mounted = profile.limits, False
        user = _user_of(lease)
        try:
            if limits.disk_bytes is not None:
                quota.attach(workspace, disk_bytes=limits.disk_bytes)
                # Whoever has the workspace's lock unmounts it, also when a dead owner mounted it.
                is_mounted = True
            if os.geteuid() == 0:
                quota.give(workspace, uid=user)
            wanted = settings.Wanted(
                image=image,
                runtime=self.runtime,
                user=user,
                workspace=workspace,
                files=files_for(self._folder / "containers", user=user),
                limits=limits,
                is_read_only=profile.is_read_only,
                pids=self.counted(limits.pids),
                labels={
                    settings.LABEL_FOLDER: str(self._folder),
                    settings.LABEL_PLACE: str(lease.number),
                    settings.LABEL_GROUP: lease.group,
                },
            )
            self._engine.create(
                name, host=settings.host_of(wanted), container=settings.container_of(wanted)
            )
        except BaseException:
            take_away(Remains(group=group, workspace=workspace, is_mounted=is_mounted))
            raise
        return Remains(group=group, workspace=workspace, is_mounted=is_mounted)

    def counted(self, pids: int | None) -> int | None:
        """Return how many processes the container's group may have for so many inside."""
        return None if pids is None else pids + 1  # the session agent

    async def _launch(
        self, remains: Remains, lease: Lease, profile: Profile, name: str
    ) -> DockerSession:
        connecting = asyncio.ensure_future(asyncio.to_thread(self._engine.attach, name))
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                (await to_the_end(connecting)).close()
            raise
        connection.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        frames = FrameReader(reader, line_bytes=LINE_BYTES)
        link = AgentLink(frames, writer)
        try:
            await undivided(asyncio.to_thread(self._engine.start, name))
            await link.ready(seconds=_START_SECONDS)
            group = await asyncio.to_thread(self._seen, name)
        except LinkLostError as reason:
            link.close()
            raise SandboxUnavailableError(
                f"The container did not start the session agent: {frames.last_words or reason}.",
                remedy="The image needs Python 3.8 or newer as python3.",
            ) from reason
        except BaseException:
            link.close()
            raise
        return DockerSession(
            engine=self._engine, container=name, link=link, group=group, lease=lease,
            remains=Remains(group=group, workspace=remains.workspace,
                            is_mounted=remains.is_mounted),
            profile=profile,
        )  # fmt: skip

    def _seen(self, name: str) -> ContainerGroup:
        """Return the container with the control group the engine made for it."""
        state = self._engine.state(name)
        counted = None
        if state.process:
            counted = cgroups.found_group(state.process, named=state.id)
        return ContainerGroup(self._engine, name, counted)


class GvisorRunner(DockerRunner):
    """gVisor's kernel in user space, as the Docker runtime `runsc`."""

    name: ClassVar[Isolation] = Isolation.GVISOR
    strength: ClassVar[Strength] = Strength.KERNEL
    runtime: ClassVar[str] = "runsc"
    absent_remedy: ClassVar[str] = (
        "Install gVisor (apt-get install runsc) and join it to the Docker daemon: runtimes.runsc "
        "in daemon.json, see docs/operate/sandbox.md."
    )

    def counted(self, pids: int | None) -> int | None:
        """Return room for the kernel in user space, and for what it spends on each process.

        Measured with the ptrace platform: 60 to 100 tasks of the host for itself, and up to 9 for
        each process inside, none for a thread that waits. Beyond that the sandbox ends.
        """
        return None if pids is None else _KERNEL_TASKS + _TASKS_OF_A_PROCESS * pids


def _user_of(lease: Lease) -> int:
    """Return who the sandbox is: a user of its own as root, else the one we are."""
    return lease.uid if os.geteuid() == 0 else os.geteuid()


def _has_swap() -> bool:
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return False
