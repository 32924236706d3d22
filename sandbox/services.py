"""What the rest of the system asks for: a runner, what this host can do, cleaning up.

Processes of the site call `sandboxes()` and so reach the sandbox worker, theirs or the host's; only
the worker itself (and tests) makes sandboxes in its own process, with `Sandboxes`. The folder of
locks and places is shared by all processes of the host and user.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from core.env import Environment
from sandbox import remains
from sandbox.contracts import (
    Abilities,
    HostCredential,
    Isolation,
    Profile,
    Runner,
    SandboxAccess,
    Strength,
)
from sandbox.egress import Outside, Ranges
from sandbox.egress.credentials import Credentials
from sandbox.egress.rules import Rules
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.remote import ChildWorker, RemoteSandboxes, at
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.runners.disabled import DisabledRunner
from sandbox.runners.docker import (
    DOCKER,
    GVISOR,
    ContainerGroup,
    DockerRunner,
    Engine,
    reap_containers,
)
from sandbox.runners.landlock import LandlockRunner
from sandbox.runners.microvm import Host, MicrovmRunner, find_host

SITES_OWN = Isolation.BUBBLEWRAP
_RANGES = "AGENTRY_SANDBOX_NET_RANGES"

_STRENGTHS = list(Strength)  # weakest first


class Sandboxes:
    """The runners of this process. One for each event loop.

    `environment` has the engine's socket, the image, the files of virtual machines and the ranges
    that names may lead to; without it they are those of this process.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        environment: Environment | None = None,
        host: Host | None = None,
    ) -> None:
        """Raises ConfigurationError when a setting of theirs cannot be read."""
        self._folder = folder or default_folder()
        settings = environment or Environment.of_process()
        self._engine = Engine(settings.text("AGENTRY_SANDBOX_DOCKER"))
        image = settings.text("AGENTRY_SANDBOX_IMAGE")
        outside = Outside(ranges=Ranges.of(settings.items(_RANGES), setting=_RANGES))
        container = partial(
            DockerRunner, self._folder, engine=self._engine, image=image, outside=outside
        )
        self._runners: dict[Isolation, Runner] = {
            Isolation.GVISOR: container(kind=GVISOR),
            Isolation.DOCKER: container(kind=DOCKER),
            Isolation.BUBBLEWRAP: BubblewrapRunner(self._folder, outside=outside),
            Isolation.LANDLOCK: LandlockRunner(self._folder),
            Isolation.MICROVM: MicrovmRunner(self._folder, _host_of(settings)),
        }
        self._disabled = DisabledRunner(self._folder)  # no engine, so the doctor does not name it

    def runner_for(self, profile: Profile) -> Runner:
        """Return the runner that was asked for by name, else the site's own.

        One that does not work here says so at its opening; nothing weaker takes its place.
        """
        if profile.isolation is Isolation.DISABLED:
            return self._disabled
        return self._runners[profile.isolation or SITES_OWN]

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on this host and how strong it is, best first."""
        found = [await runner.abilities() for runner in self._runners.values()]
        return sorted(
            found,
            key=lambda engine: (not engine.is_available, -_STRENGTHS.index(engine.strength)),
        )

    def reap(self) -> list[str]:
        """Take away what owners that died have left; one sentence for each. Safe at any time."""
        leases = Leases(self._folder)
        told = remains.reap(leases, container=partial(ContainerGroup, self._engine))
        return [*told, *reap_containers(self._engine, leases)]


def _host_of(environment: Environment) -> Host:
    return find_host(
        kernel=environment.text("AGENTRY_SANDBOX_MICROVM_KERNEL"),
        root_disk=environment.text("AGENTRY_SANDBOX_MICROVM_DISK"),
    )


_access: SandboxAccess | None = None


def join(*, socket: Path | None, workspaces: Path) -> None:
    """Say once for this process where its sandboxes come from.

    Without a socket the first use starts a worker of this process's own, which ends with it.
    """
    global _access
    if socket is not None:
        _access = RemoteSandboxes(at(socket), lambda: socket)
    else:
        child = ChildWorker(workspaces=workspaces, folder=default_folder())
        _access = RemoteSandboxes(child.locate, child.peek)


def sandboxes() -> SandboxAccess:
    """Return where this process gets its sandboxes from; any thread and event loop may use it.

    Raises:
        SandboxUnavailableError: `join` was not called: this process is none of the site's.
    """
    if _access is None:
        raise SandboxUnavailableError(
            "This process has not joined a sandbox worker.",
            remedy="Start it with manage.py, or call sandbox.services.join first.",
        )
    return _access


def check_hosts(net: Sequence[str], credentials: Sequence[HostCredential] = ()) -> None:
    """See that a list of hosts (`Profile.net`) can be held, and credentials for some of them,
    before anything is stored or started. It is the gateway's own reading.

    Raises:
        SandboxRefusedError: It names the first that cannot be used, and how to write it.
    """
    Credentials(credentials, Rules(net))


def default_folder() -> Path:
    """Return where locks and places of this host and user are; gone after a reboot."""
    if os.geteuid() == 0:
        return Path("/run/agentry-sandbox")
    return Path(tempfile.gettempdir()) / f"agentry-sandbox-{os.geteuid()}"
