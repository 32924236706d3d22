"""What the rest of the system asks for: a runner, what this host can do, cleaning up.

Processes of the site call `sandboxes()` and so reach the sandbox worker, theirs or the host's; only
the worker itself (and tests) makes sandboxes in its own process, with `Sandboxes`. The folder of
locks and places is shared by all processes of the host and user.
"""

import os
import tempfile
from pathlib import Path

from core.env import Environment
from sandbox import remains
from sandbox.contracts import (
    Abilities,
    Isolation,
    Profile,
    Runner,
    SandboxAccess,
    Strength,
)
from sandbox.errors import SandboxUnavailableError
from sandbox.leases import Leases
from sandbox.remote import ChildWorker, RemoteSandboxes, at
from sandbox.runners.bubblewrap import BubblewrapRunner
from sandbox.runners.landlock import LandlockRunner
from sandbox.runners.microvm import Host, MicrovmRunner, find_host

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
}


_STRENGTHS = list(Strength)  # weakest first


class Sandboxes:
    """The runners of this process. One for each event loop."""

    def __init__(self, folder: Path | None = None, *, host: Host | None = None) -> None:
        environment = Environment.of_process()
        self._folder = folder or default_folder()
        self._bubblewrap = BubblewrapRunner(self._folder)
        self._by_name: dict[Isolation, Runner] = {
            Isolation.BUBBLEWRAP: self._bubblewrap,
            Isolation.LANDLOCK: LandlockRunner(self._folder),
            Isolation.MICROVM: MicrovmRunner(self._folder, host or _host_of(environment)),
        }

    def runner_for(self, profile: Profile) -> Runner:
        """Return the runner that was asked for by name, else the site's own.

        Raises:
            SandboxUnavailableError: There is no such runner; nothing weaker takes its place.
        """
        if profile.isolation in NOT_BUILT:
            problem, remedy = NOT_BUILT[profile.isolation]
            raise SandboxUnavailableError(problem, remedy=remedy)
        return self._by_name.get(profile.isolation, self._bubblewrap)

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on this host and how strong it is, best first."""
        absent = [
            Abilities(name=name, strength=Strength.NONE, problem=problem, remedy=remedy)
            for name, (problem, remedy) in NOT_BUILT.items()
        ]
        found = [await runner.abilities() for runner in self._by_name.values()]
        return sorted([*found, *absent], key=lambda engine: -_STRENGTHS.index(engine.strength))

    def reap(self) -> list[str]:
        """Take away what owners that died have left; one sentence for each. Safe at any time."""
        return remains.reap(Leases(self._folder))


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
        _access = RemoteSandboxes(at(socket))
    else:
        child = ChildWorker(workspaces=workspaces, folder=default_folder())
        _access = RemoteSandboxes(child.locate)


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


def default_folder() -> Path:
    """Return where locks and places of this host and user are; gone after a reboot."""
    if os.geteuid() == 0:
        return Path("/run/agentry-sandbox")
    return Path(tempfile.gettempdir()) / f"agentry-sandbox-{os.geteuid()}"
