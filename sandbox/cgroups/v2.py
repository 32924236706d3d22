"""Control groups, version 2: one tree (kernel documentation, cgroup-v2).

Groups with controllers hold no processes themselves. In a container the processes sit at the root
of its own tree, so they are moved one folder down first, as container engines inside containers do.
"""

import contextlib
import errno
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.cgroups.contract import (
    FOLDER,
    kill_all,
    processes_of,
    read_counter,
    wait_until_empty,
)
from sandbox.contracts import Limit, Limits

_PERIOD_MICROSECONDS = 100_000
_NEEDED = {Limit.CPU: "cpu", Limit.MEMORY: "memory", Limit.PIDS: "pids"}
_KILL_SECONDS = 5.0
_ASIDE = "agentry-others"


class HierarchyV2:
    def __init__(self, root: Path) -> None:
        self._base = root / FOLDER
        problem = self._prepare(root)
        offered = set(_words(self._base / "cgroup.subtree_control"))
        self.missing: Mapping[Limit, str] = {
            limit: problem or f"the `{controller}` controller is not handed down by {root}"
            for limit, controller in _NEEDED.items()
            if controller not in offered
        }

    def _prepare(self, root: Path) -> str:
        """Hand the controllers down to our folder; return what stands in the way."""
        wanted = [name for name in _NEEDED.values() if name in _words(root / "cgroup.controllers")]
        change = " ".join(f"+{name}" for name in wanted)
        try:
            self._base.mkdir(exist_ok=True)
            try:
                (root / "cgroup.subtree_control").write_text(change)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                self._move_aside(root)
                (root / "cgroup.subtree_control").write_text(change)
            (self._base / "cgroup.subtree_control").write_text(change)
        except OSError as error:
            return f"control groups cannot be made in {root}: {error.strerror}"
        return ""

    @staticmethod
    def _move_aside(root: Path) -> None:
        aside = root / _ASIDE
        aside.mkdir(exist_ok=True)
        for process in processes_of(root):
            with contextlib.suppress(OSError):  # gone meanwhile, or the kernel's own
                (aside / "cgroup.procs").write_text(str(process))

    def group(self, name: str) -> "GroupV2":
        return GroupV2(self._base / name)

    def names(self) -> set[str]:
        return {folder.name for folder in self._base.glob("*/")}


class GroupV2:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folders(self) -> Sequence[Path]:
        return (self._folder,)

    def create(self, limits: Limits) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if limits.memory_bytes is not None:
            (self._folder / "memory.max").write_text(str(limits.memory_bytes))
            swap = self._folder / "memory.swap.max"
            if swap.exists():
                swap.write_text("0")
        if limits.pids is not None:
            (self._folder / "pids.max").write_text(str(limits.pids))
        if limits.cpu is not None:
            quota = max(1000, round(limits.cpu * _PERIOD_MICROSECONDS))
            (self._folder / "cpu.max").write_text(f"{quota} {_PERIOD_MICROSECONDS}")

    def processes(self) -> list[int]:
        return processes_of(self._folder)

    def out_of_memory(self) -> int:
        return read_counter(self._folder / "memory.events", "oom_kill")

    def peak_memory_bytes(self) -> int:
        return read_counter(self._folder / "memory.peak")

    def kill(self) -> None:
        if not self.processes():
            return
        try:
            (self._folder / "cgroup.kill").write_text("1")
        except OSError:  # kernels before 5.14
            while self.processes():
                kill_all(self.processes())
                wait_until_empty(self, seconds=_KILL_SECONDS)
        wait_until_empty(self, seconds=_KILL_SECONDS)

    def remove(self) -> None:
        if self._folder.exists():
            self._folder.rmdir()


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
