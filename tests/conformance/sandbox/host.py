"""What the host sees of a sandbox: its group, its processes, its mounts."""

import asyncio
import contextlib
import json
import subprocess
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
    """Return the processes in the sandbox that are neither bwrap nor the session agent.

    A kernel in user space has processes that the host does not see, and tells their numbers inside.
    """
    found = []
    for process in session.group.processes():
        try:
            words = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"runsc-sandbox\0"):
            return _processes_in_gvisor(words.decode().split("\0"))
        if words.startswith(b"runsc-"):
            continue
        if words and b"bwrap" not in words and b"agent.py" not in words:
            found.append(process)
    return found


def _processes_in_gvisor(words: list[str]) -> list[int]:
    root = next(word for word in words if word.startswith("--root="))
    container = next(word for word in reversed(words) if word)
    told = subprocess.run(
        ["runsc", root, "ps", "--format=json", container], capture_output=True, check=False
    )
    return [] if told.returncode else [number for number in json.loads(told.stdout) if number != 1]


def host_cpu_seconds(session: Observed) -> float:
    """Return what the sandbox has used of the processors by the host's count, its kernel's work
    included. Needs control groups of the processors' own controller."""
    for folder in session.group.folders:
        for file in (Path(str(folder).replace("/cpu/", "/cpuacct/")) / "cpuacct.usage",
                     folder / "cpu.stat"):  # fmt: skip
            if file.name == "cpu.stat" and file.exists() and "usage_usec" in file.read_text():
                return int(file.read_text().split()[1]) / 1e6
            if file.name == "cpuacct.usage" and file.exists():
                return int(file.read_text()) / 1e9
    raise AssertionError("the host does not count the processors' time of this sandbox")


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
