"""What the rest of the system asks for: a runner, what this host can do, cleaning up.

A process keeps one `Sandboxes`; its folder is shared by all processes of the host and user.
"""

import os
import tempfile
from functools import partial
from pathlib import Path

from core.env import Environment
from sandbox import remains
from sandbox.contracts import Abilities, Isolation, Profile, Runner, Strength
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.runners.docker import (
    ContainerGroup,
    DockerRunner,
    Engine,
    GvisorRunner,
    reap_containers,
)

SITES_OWN = Isolation.BUBBLEWRAP

# Engines a manifest may name that this release has no runner for.
NOT_BUILT: dict[Isolation, tuple[str, str]] = {
    Isolation.MICROVM: (
        "No driver for micro virtual machines is joined to this site.",
        "Ask for bubblewrap if a shared kernel is strong enough; there is no silent replacement.",
    ),
    Isolation.LANDLOCK: (
        "Isolation by Landlock alone is not joined to this site.",
        "Ask for bubblewrap, which is stronger, and allow user namespaces on this host.",
    ),
}


class Sandboxes:
    """The runners of this process. One for each event loop.

    `environment` has the engine's socket and the image; without it they are those of this process.
    """

    def __init__(
        self, folder: Path | None = None, *, environment: Environment | None = None
    ) -> None:
        self._folder = folder or default_folder()
        settings = environment or Environment.of_process()
        self._engine = Engine(settings.text("AGENTRY_SANDBOX_DOCKER"))
        image = settings.text("AGENTRY_SANDBOX_IMAGE")
        self._runners: dict[Isolation, Runner] = {
            Isolation.GVISOR: GvisorRunner(self._folder, engine=self._engine, image=image),
            Isolation.DOCKER: DockerRunner(self._folder, engine=self._engine, image=image),
            Isolation.BUBBLEWRAP: BubblewrapRunner(self._folder),
        }

    def runner_for(self, profile: Profile) -> Runner:
        """Return the runner that was asked for by name, else the site's own.

        Raises:
            SandboxUnavailableError: There is no such runner; nothing weaker takes its place.
        """
        if profile.isolation in NOT_BUILT:
            problem, remedy = NOT_BUILT[profile.isolation]
            raise SandboxUnavailableError(problem, remedy=remedy)
        return self._runners[profile.isolation or SITES_OWN]

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on this host and how strong it is, best first."""
        absent = [
            Abilities(name=name, strength=Strength.NONE, problem=problem, remedy=remedy)
            for name, (problem, remedy) in NOT_BUILT.items()
        ]
        found = [await runner.abilities() for runner in self._runners.values()]
        working = [abilities for abilities in found if abilities.is_available]
        return [*working, *(abilities for abilities in found if abilities.problem), *absent]

    def reap(self) -> list[str]:
        """Take away what owners that died have left; one sentence for each. Safe at any time."""
        leases = Leases(self._folder)
        told = remains.reap(leases, container=partial(ContainerGroup, self._engine))
        return [*told, *reap_containers(self._engine, leases)]


def default_folder() -> Path:
    """Return where locks and places of this host and user are; gone after a reboot."""
    if os.geteuid() == 0:
        return Path("/run/agentry-sandbox")
    return Path(tempfile.gettempdir()) / f"agentry-sandbox-{os.geteuid()}"
