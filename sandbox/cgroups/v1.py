"""Control groups, version 1: one folder for each controller (kernel documentation, cgroup-v1)."""

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
_THAW_SECONDS = 3.0
_ROUNDS = 3


class HierarchyV1:
    def __init__(self, bases: Mapping[str, Path]) -> None:
        self._bases = bases
        self.missing: Mapping[Limit, str] = {
            limit: f"the kernel's `{controller}` controller is not mounted"
            for limit, controller in _NEEDED.items()
            if controller not in bases
        }

    def group(self, name: str) -> "GroupV1":
        return GroupV1({kind: base / FOLDER / name for kind, base in self._bases.items()})

    def names(self) -> set[str]:
        return {
            folder.name for base in self._bases.values() for folder in (base / FOLDER).glob("*/")
        }


class GroupV1:
    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._by_controller = folders

    @property
    def folders(self) -> Sequence[Path]:
        return tuple(self._by_controller.values())

    def create(self, limits: Limits) -> None:
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
        if limits.memory_bytes is not None:
            self._limit_memory(self._by_controller["memory"], limits.memory_bytes)
        if limits.pids is not None:
            (self._by_controller["pids"] / "pids.max").write_text(str(limits.pids))
        if limits.cpu is not None:
            cpu = self._by_controller["cpu"]
            (cpu / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            quota = max(1000, round(limits.cpu * _PERIOD_MICROSECONDS))
            (cpu / "cpu.cfs_quota_us").write_text(str(quota))

    @staticmethod
    def _limit_memory(folder: Path, memory_bytes: int) -> None:
        (folder / "memory.limit_in_bytes").write_text(str(memory_bytes))
        both = folder / "memory.memsw.limit_in_bytes"  # memory and swap together
        if both.exists():
            both.write_text(str(memory_bytes))
        else:
            (folder / "memory.swappiness").write_text("0")

    def processes(self) -> list[int]:
        return sorted({pid for folder in self.folders for pid in processes_of(folder)})

    def out_of_memory(self) -> int:
        return read_counter(self._in_memory("memory.oom_control"), "oom_kill")

    def peak_memory_bytes(self) -> int:
        return read_counter(self._in_memory("memory.max_usage_in_bytes"))

    def _in_memory(self, name: str) -> Path:
        return self._by_controller.get("memory", Path("/nonexistent")) / name

    def kill(self) -> None:
        """Hold everybody still first, so that nobody forks while the others die."""
        freezer = self._by_controller.get("freezer")
        for _ in range(_ROUNDS):
            if not self.processes():
                return
            if freezer is not None:
                (freezer / "freezer.state").write_text("FROZEN")
            kill_all(self.processes())
            if freezer is not None:
                (freezer / "freezer.state").write_text("THAWED")
            wait_until_empty(self, seconds=_THAW_SECONDS)

    def remove(self) -> None:
        for folder in self.folders:
            if folder.exists():
                folder.rmdir()
