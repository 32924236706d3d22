"""No control groups: nothing is held, and the reason is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.contracts import Limit, Limits

COUNTED = (Limit.CPU, Limit.MEMORY, Limit.PIDS)


class NoGroup:
    """A group that is not there. Its processes end with the namespace they are in."""

    folders: Sequence[Path] = ()

    def create(self, limits: Limits) -> None:
        """Make nothing: whoever asks for these limits has been refused before."""

    def processes(self) -> list[int]:
        return []

    def out_of_memory(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    def kill(self) -> None:
        """Kill nothing."""

    def remove(self) -> None:
        """Remove nothing."""


class Nothing:
    def __init__(self, reason: str) -> None:
        self.missing: Mapping[Limit, str] = dict.fromkeys(COUNTED, reason)

    def group(self, name: str) -> NoGroup:
        return NoGroup()

    def names(self) -> set[str]:
        return set()
