"""What the rest of the system asks for: a runner, what this host can do, cleaning up.

A process keeps one `Sandboxes`; its folder is shared by all processes of the host and user.
"""

import os
import tempfile
from pathlib import Path

from sandbox import remains
from sandbox.contracts import Abilities, Isolation, Profile, Runner, Strength
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.runners.disabled import DisabledRunner

# Engines a manifest may name that this release has no runner for.
NOT_BUILT: dict[Isolation, tuple[str, str]] = {
    Isolation.DOCKER: (
        "The Docker engine is not joined to this site.",
        "Ask for bubblewrap, which isolates with the same namespaces and the same filter.",
    ),
    Isolation.GVISOR: (
        "gVisor (runsc) is not joined to this site.",
        "Ask for bubblewrap if a shared kernel is strong enough; there is no silent replacement.",
    ),
    Isolation.MICROVM: (
        "No driver for micro virtual machines is joined to this site.",
        "Ask for bubblewrap if a shared kernel is strong enough; there is no silent replacement.",
    ),
    Isolation.LANDLOCK: (
        "Isolation by Landlock alone is not joined to this site.",
        "Ask for bubblewrap, which is stronger, and allow user namespaces on this host.",
    ),
}


def engine_missing(engine: Isolation) -> str:
    """Say why no tool of this site can run in the engine, and what to do; empty when one may."""
    return " ".join(NOT_BUILT.get(engine, ()))


class Sandboxes:
    """The runners of this process. One for each event loop."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()
        self._bubblewrap = BubblewrapRunner(self._folder)
        self._disabled = DisabledRunner(self._folder)

    def runner_for(self, profile: Profile) -> Runner:
        """Return the runner that was asked for by name, else the site's own.

        Raises:
            SandboxUnavailableError: There is no such runner; nothing weaker takes its place.
        """
        if profile.isolation in NOT_BUILT:
            problem, remedy = NOT_BUILT[profile.isolation]
            raise SandboxUnavailableError(problem, remedy=remedy)
        if profile.isolation is Isolation.DISABLED:
            return self._disabled
        return self._bubblewrap

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on this host and how strong it is, best first."""
        absent = [
            Abilities(name=name, strength=Strength.NONE, problem=problem, remedy=remedy)
            for name, (problem, remedy) in NOT_BUILT.items()
        ]
        return [await self._bubblewrap.abilities(), *absent]

    def reap(self) -> list[str]:
        """Take away what owners that died have left; one sentence for each. Safe at any time."""
        return remains.reap(Leases(self._folder))


def default_folder() -> Path:
    """Return where locks and places of this host and user are; gone after a reboot."""
    if os.geteuid() == 0:
        return Path("/run/agentry-sandbox")
    return Path(tempfile.gettempdir()) / f"agentry-sandbox-{os.geteuid()}"
