"""What the figures were measured on, and how fast that was at the moment.

A machine shared with others is two or three times slower from one minute to the next. The spin (a
fixed loop in Python) stands beside every figure, so that a slow minute can be told from a slow
program; CPU seconds of whole process families are steadier than anything timed by the wall.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.servers import Servers

_SPIN_ROUNDS = 2_000_000
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def spin_seconds() -> float:
    """Time two million additions: about 0.1 s on an idle machine of our day."""
    begun, total = time.perf_counter(), 0
    for number in range(_SPIN_ROUNDS):
        total += number
    return time.perf_counter() - begun


@dataclass(slots=True)
class Surroundings:
    """What happened around a measurement: filled when its block ends."""

    spin_seconds: float = 0.0
    postgres_cpu_seconds: float = 0.0
    redis_cpu_seconds: float = 0.0

    def rounded(self) -> dict[str, float]:
        return {
            "spin_seconds": round(self.spin_seconds, 3),
            "postgres_cpu_seconds": round(self.postgres_cpu_seconds, 2),
            "redis_cpu_seconds": round(self.redis_cpu_seconds, 2),
        }


@contextmanager
def observed(servers: Servers) -> Iterator[Surroundings]:
    """Spin before and after the block (their mean counts) and count the servers' CPU in it."""
    around = Surroundings()
    before = spin_seconds()
    postgres_before = family_cpu_seconds(servers.postgres_pid)
    redis_before = family_cpu_seconds(servers.redis_pid)
    yield around
    around.postgres_cpu_seconds = family_cpu_seconds(servers.postgres_pid) - postgres_before
    around.redis_cpu_seconds = family_cpu_seconds(servers.redis_pid) - redis_before
    around.spin_seconds = (before + spin_seconds()) / 2


def family_cpu_seconds(pid: int) -> float:
    """Return user and system CPU of a process and all below it, ended children included (Linux)."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        process = int(stat.parent.name)
        children.setdefault(int(words[1]), []).append(process)
        ticks[process] = sum(int(word) for word in words[11:15])
    total, family = 0, [pid]
    while family:
        member = family.pop()
        total += ticks.get(member, 0)
        family += children.get(member, [])
    return total / _TICKS_PER_SECOND


def describe(servers: Servers) -> dict[str, Any]:
    """Return the hardware and the versions a result depends on; nothing that names the machine."""
    return {
        "cpu_count": os.cpu_count(),
        "cpu_model": _field("/proc/cpuinfo", "model name"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": servers.postgres_version,
        "redis": servers.redis_version,
    }


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
