"""What a sandbox is asked for and what it answers; every runner speaks exactly this."""

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

WORKSPACE = "/workspace"
SECRETS = "/run/secrets"
MIB = 1024 * 1024
MAX_SECRETS_BYTES = 512 * 1024


class Isolation(StrEnum):
    """The engines a tool may ask for by name; empty leaves the choice to the site."""

    SITE = ""
    BUBBLEWRAP = "bubblewrap"
    DOCKER = "docker"
    GVISOR = "gvisor"
    MICROVM = "microvm"
    LANDLOCK = "landlock"
    DISABLED = "disabled"  # no isolation at all; only where an administrator allows it


class Limit(StrEnum):
    """What a sandbox can be kept to, by the names of the fields of `Limits` and `Profile`."""

    CPU = "cpu"
    MEMORY = "memory_bytes"
    PIDS = "pids"
    WALL = "wall_seconds"
    DISK = "disk_bytes"
    OUTPUT = "output_bytes"
    OPEN_FILES = "open_files"
    FILE = "file_bytes"
    NET = "net"


class Strength(StrEnum):
    """What stands between the work and the host."""

    NONE = "none"
    RULES = "rules"  # the kernel refuses paths and calls; everything else is shared
    NAMESPACES = "namespaces"  # own file system, processes and network; shared kernel
    KERNEL = "kernel"  # a kernel of its own in user space
    MACHINE = "machine"  # a virtual machine


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one sandbox may use. None asks for no limit; every number must be held.

    `cpu` in cores; `memory_bytes` and `pids` for all its processes together; `wall_seconds` and
    `output_bytes` (both streams together) for each call; `disk_bytes` for the whole workspace;
    `open_files` and `file_bytes` for each process and file.
    """

    cpu: float | None = 1.0
    memory_bytes: int | None = 512 * MIB
    pids: int | None = 128
    wall_seconds: float = 60.0
    disk_bytes: int | None = 256 * MIB
    output_bytes: int = MIB
    open_files: int = 256
    file_bytes: int = 128 * MIB

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be more than 0, or null for no limit.")


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """In what kind of sandbox something runs; an approval is bound to its digest.

    `net` lists the `host:port` pairs that may be reached; empty means no network at all.
    `is_read_only`: the workspace can be read and not written, as for finding out what a call would
    change.
    """

    isolation: Isolation = Isolation.SITE
    limits: Limits = Limits()
    net: tuple[str, ...] = ()
    is_read_only: bool = False

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON: keys sorted, hosts in sorted order."""
        canonical = msgspec.structs.replace(self, net=tuple(sorted(set(self.net))))
        return hashlib.sha256(msgspec.json.encode(canonical, order="sorted")).hexdigest()

    def asked(self) -> frozenset[Limit]:
        """Return what must be held for this profile."""
        found = {Limit(n) for n in Limits.__struct_fields__ if getattr(self.limits, n) is not None}
        return frozenset(found | ({Limit.NET} if self.net else set()))


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One program to run. Nothing of the host's environment is added to `env`.

    `secrets` are files below `/run/secrets` for the length of this call alone, in memory, never in
    the arguments or the environment. `wall_seconds` may shorten the profile's, never lengthen it.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    env: Mapping[str, str] = {}
    cwd: str = WORKSPACE
    secrets: Mapping[str, bytes] = {}
    wall_seconds: float | None = None

    def __repr__(self) -> str:
        return f"Command(argv={self.argv!r}, cwd={self.cwd!r}, secrets={sorted(self.secrets)!r})"

    def __post_init__(self) -> None:
        if self.wall_seconds is not None and not self.wall_seconds > 0:
            raise ValueError("wall_seconds must be more than 0, or null for the profile's.")
        if not self.argv or not self.argv[0]:
            raise ValueError("A command needs a program to run.")
        words = [*self.argv, self.cwd, *self.env.keys(), *self.env.values()]
        if any("\0" in word for word in words):
            raise ValueError("A command cannot carry NUL characters.")
        if any(not name or "=" in name for name in self.env):
            raise ValueError("A name in the environment is not empty and has no `=`.")
        if any(not name or "/" in name or name.startswith(".") for name in self.secrets):
            raise ValueError("The name of a secret is a plain file name.")
        if any(len(name.encode()) > 255 or "\0" in name for name in self.secrets):
            raise ValueError("The name of a secret is a plain file name.")
        if sum(map(len, self.secrets.values())) > MAX_SECRETS_BYTES:
            raise ValueError(f"The secrets of a command have at most {MAX_SECRETS_BYTES} bytes.")
        inside = posixpath.normpath(self.cwd)
        if inside != WORKSPACE and not inside.startswith(f"{WORKSPACE}/"):
            raise ValueError(f"A command starts inside {WORKSPACE}, not in {self.cwd}.")


class HostCredential(msgspec.Struct, frozen=True, kw_only=True):
    """A header the egress gateway adds to requests for one `host:port`; it never goes inside."""

    host: str
    header: str
    value: str

    def __repr__(self) -> str:
        return f"HostCredential(host={self.host!r}, header={self.header!r})"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One connection a call asked the egress gateway for, made or refused (`reason` says why)."""

    host: str
    port: int
    is_allowed: bool
    reason: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0


class Ended(StrEnum):
    """What ended a call."""

    EXIT = "exit"  # the program itself
    SIGNAL = "signal"  # a signal the program got, from itself or from within
    TIMEOUT = "timeout"  # its wall time was over
    MEMORY = "memory"  # the sandbox had used up its memory
    OUTPUT = "output"  # it wrote more than it may
    CANCELLED = "cancelled"  # whoever started it


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What one call used. `max_rss_bytes` is that of its largest process."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended. The output is bytes of unknown origin: decode with replacement."""

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    is_truncated: bool
    ended_by: Ended
    usage: Usage = Usage()
    connections: tuple[Connection, ...] = ()


class Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner can hold on this host; `missing` says for everything else why not and what
    to do about it. An unavailable runner holds nothing and carries the reason in `problem`."""

    name: Isolation
    strength: Strength
    holds: frozenset[Limit] = frozenset()
    missing: Mapping[Limit, str] = {}
    problem: str = ""
    remedy: str = ""

    @property
    def is_available(self) -> bool:
        return not self.problem


class Session(Protocol):
    """One open sandbox: an async context manager whose end leaves no process and no mount.

    Calls of one session run one after the other; between two of them nothing of the first is left
    but its files.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def run(self, command: Command) -> Outcome:
        """Run it to its end. A cancelled await kills the call before it returns.

        Raises:
            SandboxLostError: The sandbox ended without an answer.
        """
        ...

    async def cancel(self) -> None:
        """End the call that runs now, if any; its `run` returns with `cancelled`."""
        ...

    async def close(self) -> None:
        """End everything in the sandbox and take it down. May be called twice."""
        ...


class Runner(Protocol):
    """One way to isolate work on this host."""

    @property
    def name(self) -> Isolation: ...

    async def abilities(self) -> Abilities:
        """Say what can be held here; found out once by trying, never assumed."""
        ...

    async def open(
        self, workspace: Path, profile: Profile, *, credentials: Sequence[HostCredential] = ()
    ) -> Session:
        """Start a sandbox with `workspace` as its only lasting writable place.

        The folder is the control plane's: no part of its path is writable by a sandbox.
        `credentials` are for hosts in `profile.net`; the gateway outside adds them.

        Raises:
            SandboxUnavailableError: This engine does not work here.
            SandboxRefusedError: Something the profile asks for cannot be held here.
            SandboxBusyError: Another session has the workspace.
        """
        ...


class RunnerSource(Protocol):
    """The engines a process can reach: its own runners, or those of the sandbox worker."""

    def runner_for(self, profile: Profile) -> Runner:
        """Return the runner that was asked for by name, else the site's own.

        Raises:
            SandboxUnavailableError: There is no such runner; nothing weaker takes its place. With
                a sandbox worker its opening raises that.
        """
        ...


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """How many sandboxes a worker has open, of how many, and who waits for a place since when."""

    at_most: int
    taken: int
    waiting: int
    oldest_seconds: float = 0.0


class SandboxAccess(RunnerSource, Protocol):
    """The same, and what is told of them."""

    async def doctor(self) -> list[Abilities]:
        """Say for each engine what it can hold on the host and how strong it is, best first."""
        ...

    async def crowd(self) -> Crowd | None:
        """Say how full the sandbox worker is; None: this process has started none yet.

        Raises:
            SandboxUnavailableError: It does not answer within two seconds.
        """
        ...
