"""Who holds what on this host: one locked file for each open sandbox, readable after a crash.

The kernel drops a lock when its holder dies, so a file that can be locked and is not empty tells of
a sandbox whose owner is gone. The number of the file is also the sandbox's user id.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.ids import new_id
from sandbox.errors import SandboxBusyError, SandboxUnavailableError

FIRST_UID = 0x7000_0000
MOST = 4096
_FOLDER_MODE = 0o711


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be taken away when the owner is gone. `mounted` says that we mounted it."""

    owner: int
    group: str = ""
    workspace: str = ""
    is_mounted: bool = False


class Lease:
    """One sandbox's place; release it when everything it names is gone."""

    def __init__(self, *, number: int, descriptor: int, workspace_lock: int = -1) -> None:
        self.number = number
        self._descriptor = descriptor
        self._workspace_lock = workspace_lock
        self.group = f"s{number}-{new_id().hex[-12:]}"  # never one that a dead owner used

    @property
    def uid(self) -> int:
        return FIRST_UID + self.number

    def write(self, held: Held) -> None:
        """Record what there is to take away, before it is made."""
        text = msgspec.json.encode(held)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def read(self) -> Held | None:
        """Return what a former owner left; None when it left nothing."""
        text = os.pread(self._descriptor, 65536, 0)
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=Held)
        except msgspec.DecodeError:
            return Held(owner=0, group=self.group)

    def keep_workspace(self, descriptor: int) -> None:
        self._workspace_lock = descriptor

    def release(self) -> None:
        """Forget what was held and give the place back."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
        self.abandon()

    def abandon(self) -> None:
        """Give the place back as it is, for whoever cleans up."""
        for descriptor in (self._workspace_lock, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._workspace_lock = -1


class Leases:
    """The folder of leases of one host and user. Safe to use from several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for place in (folder, folder / "places", folder / "workspaces", folder / "mount"):
            place.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            if place.stat().st_uid != os.geteuid():
                raise SandboxUnavailableError(
                    f"{place} belongs to another user.", remedy="Remove it, or name another folder."
                )

    def take(self) -> Lease:
        """Return a free place whose former holder left nothing.

        Raises:
            SandboxUnavailableError: All are taken.
        """
        for number in range(MOST):
            lease = self._locked(number)
            if lease is None:
                continue
            if lease.read() is None:
                return lease
            lease.abandon()
        raise SandboxUnavailableError(
            f"All {MOST} places for sandboxes are taken.", remedy="Wait until some are closed."
        )

    def orphans(self) -> Iterator[tuple[Lease, Held]]:
        """Yield what dead owners left, locked; release each when it is cleaned up."""
        for file in sorted((self.folder / "places").iterdir()):
            lease = self._locked(int(file.name))
            if lease is None:
                continue
            held = lease.read()
            if held is None:
                lease.abandon()
            else:
                yield lease, held

    def lock_workspace(self, workspace: Path) -> int:
        """Return a descriptor that keeps other sandboxes from this workspace until it is closed.

        Raises:
            SandboxBusyError: Another sandbox has it.
        """
        name = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]
        descriptor = _lock(self.folder / "workspaces" / name)
        if descriptor is None:
            raise SandboxBusyError(
                f"Another sandbox has the workspace {workspace.name}.",
                remedy="Wait until it is closed.",
            )
        return descriptor

    def _locked(self, number: int) -> Lease | None:
        descriptor = _lock(self.folder / "places" / str(number))
        return None if descriptor is None else Lease(number=number, descriptor=descriptor)


def _lock(file: Path) -> int | None:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
