"""The folder of a tree of runs on this machine, and whether it holds what it should.

Beside the folder lies `<root run>.turn`: whoever holds its lock may change files, and its words say
what the folder holds. A call that changes files writes there what the files were before it
began, and is cleared when the commit that records its outcome has happened. So whoever comes next
knows, without reading a single file, whether the folder is as the database says:

    clean, at the head        nothing to do
    begun, head moved to it   the holder died after its commit: nothing to do
    begun, head unmoved       the holder died in mid-call: back to the head, except after a call
                              that may not be repeated: its files stay for whoever judges it
    anything else             another machine was here, or this one was switched off, or the folder
                              is gone: brought to the head, comparing contents

Blocking; no Django. The files themselves are untrusted, see `sandbox.workspaces.snapshots`.
"""

import errno
import fcntl
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from uuid import UUID

import msgspec

from agents.contracts import UNKEPT
from agents.tools.confine import PRIVATE, opened_workspace
from core.ids import new_id
from core.pausepoints import reach
from plugins.errors import ToolError
from sandbox.errors import SnapshotGoneError, UnsafePathError, WorkspaceTooLargeError
from sandbox.workspaces import quota
from sandbox.workspaces.snapshots import (
    Bounds,
    Known,
    Skipped,
    SnapshotStore,
    restore_snapshot,
    take_snapshot,
)

logger = logging.getLogger(__name__)
_MAX_MARK_BYTES = 4096
_MAX_KNOWN = 64
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN = PRIVATE.encode()
# Records of calls that are not settled yet mean nothing before or after the files they are about.
_IGNORED = frozenset({(_OWN, name) for name in (b"lock", b"calls", b"staged", b"pending.json")})
_UNTOUCHED = frozenset({(_OWN, b"lock")})  # somebody may be waiting for it


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """What the folder holds: `digest`, or, while a call is at work, that and its changes.

    `after` is what the call left, known before its commit. `keeps`: the call may not be repeated.
    """

    boot: str
    digest: str
    is_begun: bool = False
    after: str = ""
    keeps: bool = False


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What the files are as a turn begins; `note` says what was done about them, for people."""

    digest: str
    note: str = ""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What a call left. `told` is for the model, `note` for people."""

    digest: str
    told: str = ""
    note: str = ""


class Folders:
    """The workspaces of one data folder and their snapshots, which lie beside them."""

    def __init__(self, workspaces: Path, bounds: Bounds) -> None:
        self._workspaces = workspaces
        self._bounds = bounds
        self._known: OrderedDict[UUID, Known] = OrderedDict()
        self._lock = Lock()

    def folder(self, workspace_id: UUID, root_id: UUID) -> "Folder":
        with self._lock:
            known = self._known.pop(root_id, None) or Known()
            self._known[root_id] = known
            while len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        path = self._workspaces / str(workspace_id) / str(root_id)
        return Folder(path, store_of(self._workspaces, workspace_id), self._bounds, known)


def store_of(workspaces: Path, workspace_id: UUID) -> SnapshotStore:
    """Return the snapshots of a workspace's runs; each workspace has its own."""
    return SnapshotStore(workspaces.parent / "snapshots" / str(workspace_id))


class Folder:
    """One tree of runs' folder, for one turn. `lock` first, `unlock` at last."""

    def __init__(self, path: Path, store: SnapshotStore, bounds: Bounds, known: Known) -> None:
        self.path = path
        self._store = store
        self._bounds = bounds
        self._known = known
        self._descriptor = -1

    def lock(self) -> bool:
        """Take the turn; False when somebody else has it. The kernel ends it with its holder."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        turn = self.path.with_name(f"{self.path.name}.turn")
        descriptor = os.open(turn, _LOCK_FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EWOULDBLOCK:
                return False
            raise
        self._descriptor = descriptor
        return True

    def unlock(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def begin(self, head: str, *, changes: bool, keeps: bool = False) -> Begun:
        """Make sure the folder holds what the database says, and mark that a call is at work.

        `head` is empty when nothing has been kept of this tree of runs; then what is there is
        kept now, if a call is about to change it.

        Raises:
            SnapshotGoneError: The folder is not what it should be, and that is not kept any more.
        """
        is_there = self.path.is_dir()
        self.path.mkdir(mode=0o700, exist_ok=True)
        with self._mounted():
            mark = self._mark() if is_there else None
            begun = self._brought(mark, head, changes)
        if changes:
            self._write(Mark(boot=_boot(), digest=begun.digest, is_begun=True, keeps=keeps))
            reach("workspace.begun")
        elif begun.digest and (mark is None or mark.is_begun or mark.digest != begun.digest):
            is_kept = mark is not None and mark.keeps and mark.digest == begun.digest
            if not is_kept:  # the call in doubt has the last word on its files
                self._write(Mark(boot=_boot(), digest=begun.digest))
        return begun

    def _brought(self, mark: Mark | None, head: str, changes: bool) -> Begun:
        if not head:
            is_cut_off = mark is not None and mark.is_begun and not mark.keeps
            if mark is not None and is_cut_off and not mark.digest.startswith(UNKEPT):
                return self._restored(mark.digest, mark, _UNDONE)
            left = self._left() if changes else Left(digest="")
            return Begun(digest=left.digest, note=left.note)
        if mark is None:
            return self._restored(head, None, "")
        if head in (mark.after, mark.digest if not mark.is_begun else ""):
            return Begun(digest=head)
        if mark.digest == head and mark.keeps:
            return Begun(digest=head, note=_KEPT)
        if mark.digest == head and head.startswith(UNKEPT):
            return Begun(digest=head, note=_PARTIAL)
        return self._restored(head, mark, _UNDONE if mark.digest == head else "")

    def _restored(self, digest: str, mark: Mark | None, note: str) -> Begun:
        if digest.startswith(UNKEPT):
            raise SnapshotGoneError(
                "The files of this run could not be kept at its last step, and are not here.",
                remedy="Resume it on the machine that has them, or fork it from an earlier step.",
            )
        if digest != (mark.digest if mark else ""):
            self._write(Mark(boot=_boot(), digest=""))  # nothing is certain until it is done
        try:
            with self._without_tools():
                restore_snapshot(self.path, self._store, digest, untouched=_UNTOUCHED)
        except (OSError, UnsafePathError) as error:
            raise SnapshotGoneError(
                f"The files of this run could not be restored here: {error}",
                remedy="Mend that and resume the run.",
            ) from error
        return Begun(digest=digest, note=note or _RESTORED)

    def leave(self) -> Left:
        """Keep what the call left; durable when it returns. Call `end` when that is committed."""
        with self._mounted():
            left = self._left()
        mark = self._mark()
        if mark is not None:
            self._write(msgspec.structs.replace(mark, after=left.digest))
        reach("workspace.kept")
        return left

    def _left(self) -> Left:
        try:
            with self._without_tools():
                snapshot = take_snapshot(
                    self.path,
                    self._store,
                    bounds=self._bounds,
                    ignored=_IGNORED,
                    known=self._known,
                )
        except WorkspaceTooLargeError as error:
            told = f"{error.message} Files beyond that are not kept; delete some."
            return Left(digest=_unkept(), told=told, note=str(error))
        except (OSError, UnsafePathError) as error:  # also a lock that is not let go of
            logger.exception("workspace_not_kept", extra={"folder": str(self.path)})
            return Left(digest=_unkept(), note=f"The files could not be kept: {error}.")
        return Left(digest=snapshot.digest, note=_skipped(snapshot.skipped))

    def end(self, digest: str) -> None:
        """Say that the commit has happened: the folder holds what the database says."""
        reach("workspace.before_end")
        self._write(Mark(boot=_boot(), digest=digest))

    @contextmanager
    def _mounted(self) -> Iterator[None]:
        """Look at the workspace's disk where it has one of its own, also between its sessions."""
        disk = quota.disk_of(self.path)
        if not disk.exists() or quota.is_mounted(self.path):
            yield
            return
        quota.attach(self.path, disk_bytes=disk.stat().st_size)
        try:
            yield
        finally:
            quota.detach(self.path)

    @contextmanager
    def _without_tools(self) -> Iterator[None]:
        """Keep file tools out that were given up on and are still at work in their thread."""
        with opened_workspace(self.path) as workspace, ExitStack() as stack:
            # Where a program has put something else in the lock's place, file tools are refused.
            with suppress(ToolError):
                stack.enter_context(workspace.exclusive())
            yield

    def _mark(self) -> Mark | None:
        """Read what is known of the folder; nothing when it is from before this machine's start."""
        return _read(self._descriptor)

    def is_in_use(self) -> bool:
        """Say whether a call is at work there, which has made sure of the folder. Needs no lock."""
        turn = self.path.with_name(f"{self.path.name}.turn")
        try:
            descriptor = os.open(turn, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            mark = _read(descriptor)
            return mark is not None and mark.is_begun
        finally:
            os.close(descriptor)
        return False

    def _write(self, mark: Mark) -> None:
        data = msgspec.json.encode(mark).ljust(os.fstat(self._descriptor).st_size)
        os.pwrite(self._descriptor, data, 0)


_UNDONE = "A call was cut off while it changed files; they are as they were before it."
_KEPT = "A call was cut off while it changed files and may not be repeated; what it wrote is kept."
_PARTIAL = "A call was cut off while it changed files, which could not be kept before; they stay."
_RESTORED = "The files were restored from the run's last step."


def _unkept() -> str:
    return f"{UNKEPT}{new_id().hex}"


def _skipped(skipped: tuple[Skipped, ...]) -> str:
    if not skipped:
        return ""
    named = "; ".join(f"{item.name} {item.reason}" for item in skipped[:10])
    more = f"; and {len(skipped) - 10} more" if len(skipped) > 10 else ""
    return f"Not all files are kept: {named}{more}."


def _read(descriptor: int) -> Mark | None:
    data = os.pread(descriptor, _MAX_MARK_BYTES, 0)
    try:
        mark = msgspec.json.decode(data, type=Mark)
    except msgspec.MsgspecError:
        return None  # new, or cut off when the power went
    return mark if mark.boot == _boot() else None


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
