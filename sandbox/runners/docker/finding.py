"""What the Docker engine of this host can hold: what it says of itself, and one sandbox to try."""

import asyncio
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from core.ids import new_id
from sandbox.contracts import Abilities, Command, Limit, Profile
from sandbox.errors import SandboxRefusedError, SandboxUnavailableError
from sandbox.images import Image, named
from sandbox.leases import Leases
from sandbox.runners.docker.engine import Description, Engine, EngineError, NoSuchThingError
from sandbox.runners.docker.kinds import Kind
from sandbox.runners.finding import FREE, available, unavailable
from sandbox.runners.session import AgentSession
from sandbox.seccomp import MACHINES
from sandbox.workspaces import quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What has been found out: the abilities, and the content the image's name stood for."""

    abilities: Abilities
    image: str = ""


async def find_out(
    engine: Engine, kind: Kind, image_name: str, attempt: Callable[[str], Awaitable[None]]
) -> Found:
    """Ask the engine, then let `attempt` open a sandbox from the image of this id."""
    try:
        daemon, image = await asyncio.to_thread(_ask, engine, kind, image_name)
        await attempt(image)
    except (SandboxUnavailableError, SandboxRefusedError) as error:
        return Found(abilities=unavailable(kind.name, error.message, error.remedy))
    return Found(abilities=available(kind.name, kind.strength, _missing(daemon, kind)), image=image)


async def see_the_workspace(
    places: Leases, start: Callable[[Path, Profile], Awaitable[AgentSession]]
) -> None:
    """Start and end one sandbox, and see that its workspace is this host's folder.

    Raises:
        SandboxUnavailableError: It did not start, or is somewhere else.
    """
    workspace = places.trial()
    try:
        token = new_id().hex
        (workspace / "token").write_text(token)
        async with await start(workspace, FREE) as session:
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


def _ask(engine: Engine, kind: Kind, image_name: str) -> tuple[Description, str]:
    """Return what the daemon says of itself, and the id of the image."""
    image = named(image_name)
    if platform.machine() not in MACHINES:
        raise SandboxUnavailableError(
            f"There is no filter of system calls for {platform.machine()}.",
            remedy=f"Use one of: {', '.join(sorted(MACHINES))}.",
        )
    try:
        daemon = engine.describe()
    except EngineError as error:
        raise SandboxUnavailableError(
            f"The Docker engine does not answer at {engine.url}: {error}.",
            remedy="Install and start Docker (apt-get install docker.io), name its socket in "
            "AGENTRY_SANDBOX_DOCKER, and let this process reach it.",
        ) from error
    if kind.runtime not in daemon.runtimes:
        raise SandboxUnavailableError(
            f"The Docker engine has no runtime named {kind.runtime}.", remedy=kind.absent_remedy
        )
    if daemon.maps_users:
        raise SandboxUnavailableError(
            "The Docker engine gives users other ids (rootless, or userns-remap).",
            remedy="Use a daemon of its own for sandboxes without that: a workspace is given "
            "to a user that exists once.",
        )
    return daemon, _image_id(engine, image)


def _image_id(engine: Engine, image: Image) -> str:
    try:
        facts = engine.image(image.name)
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


def _missing(daemon: Description, kind: Kind) -> dict[Limit, str]:
    found = dict(kind.missing_net(daemon))
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


def _has_swap() -> bool:
    try:
        return len(Path("/proc/swaps").read_text().splitlines()) > 1
    except OSError:
        return False
