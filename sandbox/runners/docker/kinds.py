"""The kinds of sandboxes one Docker engine makes, and all that differs between them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.contracts import Isolation, Limit, Strength
from sandbox.runners.docker.engine import Description

_KERNEL_TASKS, _TASKS_OF_A_PROCESS = 100, 10  # of gVisor
_HOST_SOCKETS = {
    "fsgofer-host-uds", "fsgofer-host-uds=true", "host-uds=open", "host-uds=all",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`runtime` is the engine's name of it. `tasks` says how many processes the container's group
    may have for so many inside, and `missing_net` why its programs cannot reach a gateway."""

    name: Isolation
    strength: Strength
    runtime: str
    absent_remedy: str
    has_low_ports: bool
    tasks: Callable[[int], int]
    missing_net: Callable[[Description], Mapping[Limit, str]]

    def counted(self, pids: int | None) -> int | None:
        """Return the limit of the container's group; None: no limit was asked for."""
        return None if pids is None else self.tasks(pids)


def _and_the_agent(pids: int) -> int:
    return pids + 1


def _and_a_kernel(pids: int) -> int:
    """Return room for the kernel in user space, and for what it spends on each process.

    Measured with the ptrace platform: 60 to 100 tasks of the host for itself, and up to 9 for
    each process inside, none for a thread that waits. Beyond that the sandbox ends.
    """
    return _KERNEL_TASKS + _TASKS_OF_A_PROCESS * pids


def _nothing(daemon: Description) -> Mapping[Limit, str]:
    return {}


def _host_sockets(daemon: Description) -> Mapping[Limit, str]:
    """The gateway's socket is one of the host's, which gVisor connects to only when told."""
    flags = (word.lstrip("-") for word in daemon.runtimes[GVISOR.runtime])
    if any(flag in _HOST_SOCKETS for flag in flags):
        return {}
    return {
        Limit.NET: "runsc is joined without --fsgofer-host-uds (newer: --host-uds=open), "
        "which the gateway's socket needs"
    }


# The host's kernel.
DOCKER = Kind(
    name=Isolation.DOCKER,
    strength=Strength.NAMESPACES,
    runtime="runc",
    absent_remedy="Join a runtime named runc to the Docker daemon.",
    has_low_ports=True,
    tasks=_and_the_agent,
    missing_net=_nothing,
)
# gVisor's kernel in user space.
GVISOR = Kind(
    name=Isolation.GVISOR,
    strength=Strength.KERNEL,
    runtime="runsc",
    absent_remedy="Install gVisor (apt-get install runsc) and join it to the Docker daemon: "
    "runtimes.runsc in daemon.json, see docs/operate/sandbox.md.",
    has_low_ports=False,
    tasks=_and_a_kernel,
    missing_net=_host_sockets,
)
