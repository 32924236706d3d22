"""What the rest of the package asks of control groups, whatever their version."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from sandbox.contracts import Limit, Limits

FOLDER = "agentry-sandbox"
_PAUSE_SECONDS = 0.005


class Group(Protocol):
    """The control group of one sandbox."""

    @property
    def folders(self) -> Sequence[Path]:
        """Where a process writes its id into `cgroup.procs` to join."""
        ...

    def create(self, limits: Limits) -> None:
        """Make it with these limits. Raises OSError."""
        ...

    def processes(self) -> list[int]: ...

    def out_of_memory(self) -> int:
        """Return how often the kernel killed something in it for want of memory."""
        ...

    def peak_memory_bytes(self) -> int: ...

    def kill(self) -> None:
        """Kill every process in it, also those that fork meanwhile."""
        ...

    def remove(self) -> None:
        """Take it away once it is empty. Raises OSError while a process is left."""
        ...


class Hierarchy(Protocol):
    """Where groups are made on this host, and what they can hold there."""

    @property
    def missing(self) -> Mapping[Limit, str]:
        """Return why a limit cannot be held by a group; absent means that it can."""
        ...

    def group(self, name: str) -> Group: ...

    def names(self) -> set[str]:
        """Return the groups there are."""
        ...


def read_counter(file: Path, key: str = "") -> int:
    """Return a number from a file of `key value` lines, or of one value; 0 when it is not there."""
    try:
        words = [line.split() for line in file.read_text().splitlines()]
    except OSError:
        return 0
    for row in words:
        if row[:-1] == ([key] if key else []):
            return int(row[-1])
    return 0


def processes_of(folder: Path) -> list[int]:
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def kill_all(processes: Sequence[int]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def wait_until_empty(group: Group, *, seconds: float) -> bool:
    """Wait until what was killed is gone; the kernel gives no better sign on both versions."""
    deadline = time.monotonic() + seconds
    while group.processes():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
