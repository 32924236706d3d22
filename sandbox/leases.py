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
    """What has to be taken away when the owner is gone. `is_mounted` says that we mounted it, and
    `container` that an engine made the sandbox."""

    owner: int
    group: str = ""
    workspace: str = ""
    is_mounted: bool = False
    container: str = ""


class Lease:
    """One sandbox's place; release it when everything it names is gone."""

    def __init__(self, *, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor
        self._workspace_lock: WorkspaceLock | None = None
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

    def keep_workspace(self, lock: "WorkspaceLock") -> None:
        self._workspace_lock = lock

    def release(self) -> None:
        """Forget what was held and give the place back."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
        self.abandon()

    def abandon(self) -> None:
        """Give the place back as it is, for whoever cleans up."""
        if self._workspace_lock is not None:
            self._workspace_lock.release()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._workspace_lock = -1, None


class WorkspaceLock:
    """Keeps other sandboxes from a workspace until it is released."""

    def __init__(self, *, file: Path, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor

    def release(self) -> None:
        self._file.unlink(missing_ok=True)
        os.close(self._descriptor)


class Leases:
    """The folder of leases of one host and user. Safe to use from several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for place in (
            folder,
            folder / "places",
            folder / "workspaces",
            folder / "seats",
            folder / "trials",
            folder / "egress",
        ):
            place.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            if place.is_symlink() or place.stat().st_uid != os.geteuid():
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

    def seat(self, lease: Lease) -> Path:
        """Return the folder a place's workspace is bound to."""
        folder = self.folder / "seats" / str(lease.number)
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        return folder

    def egress(self, lease: Lease) -> Path:
        """Return the folder of a place's way out; it need not be there."""
        return self.folder / "egress" / str(lease.number)

    def trial(self) -> Path:
        """Return a new empty folder for a sandbox that is only to be started and ended."""
        folder = self.folder / "trials" / new_id().hex
        folder.mkdir(mode=0o755)
        return folder

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

    def is_held(self, number: int, group: str) -> bool:
        """Say whether somebody who lives holds this place for this group."""
        lease = self._locked(number)
        if lease is not None:
            lease.abandon()
            return False
        text = (self.folder / "places" / str(number)).read_bytes()
        try:
            return msgspec.json.decode(text, type=Held).group == group
        except msgspec.DecodeError:
            return True  # being written: its owner lives

    def lock_workspace(self, workspace: Path) -> WorkspaceLock:
        """Keep other sandboxes from this workspace.

        Raises:
            SandboxBusyError: Another sandbox has it.
        """
        name = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:32]
        file = self.folder / "workspaces" / name
        descriptor = _lock(file)
        if descriptor is None:
            raise SandboxBusyError(
                f"Another sandbox has the workspace {workspace.name}.",
                remedy="Wait until it is closed.",
            )
        return WorkspaceLock(file=file, descriptor=descriptor)

    def _locked(self, number: int) -> Lease | None:
        descriptor = _lock(self.folder / "places" / str(number))
        return None if descriptor is None else Lease(number=number, descriptor=descriptor)


def _lock(file: Path) -> int | None:
    """Return a descriptor that holds the file's lock, None while somebody else holds it."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # its last holder has just deleted it
