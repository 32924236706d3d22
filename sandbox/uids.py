"""Processes by their user: what a sandbox without a namespace or a group can be ended by.

Every sandbox that root makes has a user of its own, which no other process of the host has.
"""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from sandbox.contracts import Limits
from sandbox.leases import FIRST_UID, MOST

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.005


def processes_of(uid: int) -> list[int]:
    """Return the processes of a user, zombies left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == uid or _real_uid(folder) == uid:
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in {"Z", "X"}:
                    found.append(int(folder.name))
    return sorted(found)


def _real_uid(folder: Path) -> int:
    """Return the real user: a process that hides its memory has root's files in /proc."""
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return -1


def kill_all_of(uid: int) -> None:
    """Kill every process of a sandbox's user, at one stroke, also those that fork meanwhile.

    Takes root. A child becomes that user and signals all it may, which is all of that user's and
    nobody else's: `kill(-1)` is one walk through the process table, so no fork slips through.

    Raises:
        ValueError: The user is none of a sandbox.
    """
    if not FIRST_UID <= uid < FIRST_UID + MOST:
        raise ValueError(f"{uid} is no user of a sandbox.")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while processes_of(uid):
        child = os.fork()
        if child == 0:
            _strike(uid)
        os.waitpid(child, 0)
        if time.monotonic() > deadline:
            return
        time.sleep(_PAUSE_SECONDS)


def _strike(uid: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.getresuid() == (uid, uid, uid):
            os.kill(-1, signal.SIGKILL)
    except OSError:
        os._exit(1)
    finally:
        os._exit(0)


class UserGroup:
    """What a control group is to other engines: here the user all processes of a sandbox have."""

    folders: Sequence[Path] = ()

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def create(self, limits: Limits) -> None:
        """Make nothing: the user is there by being named."""

    def processes(self) -> list[int]:
        return processes_of(self._uid)

    def out_of_memory(self) -> int:
        return 0

    def peak_memory_bytes(self) -> int:
        return 0

    def kill(self) -> None:
        kill_all_of(self._uid)

    def remove(self) -> None:
        """Raises OSError while a process is left."""
        if left := self.processes():
            raise OSError(f"processes {left} of user {self._uid} live on")
