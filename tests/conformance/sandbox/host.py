"""What the host sees of a sandbox: its group, its processes, its mounts."""

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

from sandbox.cgroups import Group
from sandbox.contracts import Session
from tests.waiting import NeverHappenedError, wait_for


class Observed(Session, Protocol):
    """A session whose traces on the host can be looked for."""

    @property
    def group(self) -> Group: ...

    @property
    def uid(self) -> int: ...

    @property
    def workspace(self) -> Path: ...


def traces(session: Observed) -> list[str]:
    """Return everything the sandbox has on the host: nothing once it is closed.

    Groups are emptied by nobody but the kernel, so a group that could be removed had no process.
    """
    found = [f"group {folder}" for folder in session.group.folders if folder.exists()]
    found += [f"process {process}" for process in session.group.processes()]
    found += [f"mount {place}" for place in _mounts() if place.startswith(str(session.workspace))]
    found += [f"loop {file}" for file in _loop_files() if file.startswith(str(session.workspace))]
    return found


async def settled(session: Observed) -> list[str]:
    """Return the traces once they are gone, or those that stay.

    A neighbour that is just starting holds a copy of all mounts for a moment, and with it the loop
    device of a disk that has been unmounted.
    """
    with contextlib.suppress(NeverHappenedError):
        await asyncio.to_thread(
            wait_for, lambda: not traces(session), lambda: traces(session), seconds=20
        )
    return traces(session)


def work_of(session: Observed) -> list[int]:
    """Return the processes in the sandbox that are neither bwrap nor the session agent."""
    found = []
    for process in session.group.processes():
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if words and b"bwrap" not in words and b"agent.py" not in words:
            found.append(process)
    return found


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _mounts() -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines]


def _loop_files() -> list[str]:
    found = []
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found.append(file.read_text().strip())
        except OSError:
            continue
    return found
