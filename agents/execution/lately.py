"""How often something happened in the last minutes; in memory, for one process."""

from collections import deque
from typing import Final

from core import clock

LATELY_SECONDS: Final = 300
_PART_SECONDS: Final = 10


class Lately:
    """Counts in parts of ten seconds, so that it costs the same however much happens."""

    def __init__(self) -> None:
        self._parts: deque[list[int]] = deque()

    def note(self) -> None:
        part = int(clock.monotonic() // _PART_SECONDS)
        if not self._parts or self._parts[-1][0] != part:
            self._parts.append([part, 0])
        self._parts[-1][1] += 1

    def count(self) -> int:
        """Return how often it happened in the last five minutes."""
        oldest = int(clock.monotonic() // _PART_SECONDS) - LATELY_SECONDS // _PART_SECONDS
        while self._parts and self._parts[0][0] <= oldest:
            self._parts.popleft()
        return sum(times for _, times in self._parts)
