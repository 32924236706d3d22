"""Taking a snapshot: reading a workspace into the store, whatever has been put into it.

Files that a former snapshot has read and that have not changed since are not read again: their
inode, size and times are as they were, and their content is still in the store. A file that changed
so shortly before it was read that its time could not tell a later change is read again next time.
"""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from core.pausepoints import reach
from sandbox.errors import UnsafePathError, WorkspaceTooLargeError
from sandbox.workspaces.snapshots.places import FILE_FLAGS, MovedError, Place
from sandbox.workspaces.snapshots.store import BLOCK_BYTES, Adding, SnapshotStore
from sandbox.workspaces.snapshots.trees import Entry, Kind, Tree

_WALKS = 3
_READS = 3
_TOO_FRESH_NS = 100_000_000
_PERMISSIONS = 0o777
_MAX_NAME_BYTES = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a workspace is kept: contents together, and names."""

    size_bytes: int
    entries: int


class Skipped(msgspec.Struct, frozen=True):
    """A name that is not kept, or not for certain, and why."""

    name: str
    reason: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    tree: Tree
    skipped: tuple[Skipped, ...] = ()

    @property
    def digest(self) -> str:
        return self.tree.digest


@dataclass(frozen=True, slots=True)
class _Read:
    size: int
    changed_ns: int
    status_ns: int
    digest: bytes


class Known:
    """What the last snapshot of one folder read, by inode. Not shared between threads."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], _Read] = {}

    def digest(self, status: os.stat_result) -> bytes | None:
        found = self._files.get((status.st_dev, status.st_ino))
        same = found is not None and (
            (found.size, found.changed_ns, found.status_ns)
            == (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        )
        return found.digest if found is not None and same else None

    def learn(self, status: os.stat_result, digest: bytes, *, begun_ns: int) -> None:
        if max(status.st_ctime_ns, status.st_mtime_ns) < begun_ns - _TOO_FRESH_NS:
            self._files[status.st_dev, status.st_ino] = _Read(
                status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest
            )

    def adopt(self, other: "Known") -> None:
        """Become what `other` knows."""
        self._files = other._files  # of its own kind

    def __len__(self) -> int:
        return len(self._files)


def take_snapshot(
    folder: Path,
    store: SnapshotStore,
    *,
    bounds: Bounds,
    ignored: frozenset[tuple[bytes, ...]] = frozenset(),
    known: Known | None = None,
) -> Snapshot:
    """Read a workspace into the store; durable when it returns.

    Nobody is expected to write meanwhile: a file that changes while it is read is read again and at
    last kept as it was found, and named. `ignored` are paths, in parts, that are not looked at.

    Raises:
        WorkspaceTooLargeError: It holds more than `bounds`.
        UnsafePathError: Something is mounted in it, or its folders are moved without end.
    """
    for _ in range(_WALKS):
        fresh = Known()
        with store.adding() as adding:
            scan = _Scan(folder, adding, bounds, ignored, known or Known(), fresh)
            try:
                snapshot = scan.walk()
            except MovedError:
                continue
            adding.tree(snapshot.tree)
        if known is not None:
            known.adopt(fresh)
        return snapshot
    raise UnsafePathError("The folders of the workspace are moved about while they are read.")


class _Scan:
    """One walk through a folder."""

    def __init__(
        self,
        folder: Path,
        adding: Adding,
        bounds: Bounds,
        ignored: frozenset[tuple[bytes, ...]],
        known: Known,
        fresh: Known,
    ) -> None:
        self._folder = folder
        self._adding = adding
        self._bounds = bounds
        self._ignored = ignored
        self._ignored_depth = max((len(path) for path in ignored), default=0)
        self._known = known
        self._fresh = fresh
        self._begun_ns = time.time_ns()
        self._left = bounds.size_bytes
        self._entries: list[Entry] = []
        self._skipped: list[Skipped] = []
        self._path: list[bytes] = []

    def walk(self) -> Snapshot:
        place = Place(self._folder)
        try:
            waiting = [self._names(place)]  # of each folder from the top, the last name first
            while waiting:
                if not waiting[-1]:
                    waiting.pop()
                    if waiting:
                        place.up()
                        self._path.pop()
                    continue
                name = waiting[-1].pop()
                if self._take(place, name):
                    place.down(name)
                    self._path.append(name)
                    waiting.append(self._names(place))
        finally:
            place.close()
        return Snapshot(tree=Tree(tuple(self._entries)), skipped=tuple(self._skipped))

    def _names(self, place: Place) -> list[bytes]:
        names: list[bytes] = []
        for name in place.names():
            names.append(name)
            if len(self._entries) + len(names) > self._bounds.entries:
                raise WorkspaceTooLargeError(
                    f"The workspace holds more than {self._bounds.entries} files and folders."
                )
        if place.depth < self._ignored_depth:
            names = [name for name in names if (*self._path, name) not in self._ignored]
        names.sort(reverse=True)
        return names

    def _take(self, place: Place, name: bytes) -> bool:
        """Enter one name into the list; True when it is a folder to go into."""
        status = place.look(name)
        if status is None:
            return False
        kind, mode = stat.S_IFMT(status.st_mode), status.st_mode & _PERMISSIONS
        if status.st_dev != place.device:
            raise UnsafePathError(f"Another file system is mounted below the workspace ({name!r}).")
        if kind == stat.S_IFDIR:
            self._entries.append(Entry(place.depth, name, Kind.FOLDER, mode))
            return True
        if kind == stat.S_IFLNK:
            self._link(place, name)
        elif kind == stat.S_IFREG:
            self._file(place, name, status)
        else:
            self._skip(name, _SPECIAL.get(kind, "is no file, folder or link"))
        return False

    def _link(self, place: Place, name: bytes) -> None:
        try:
            target = os.readlink(name, dir_fd=place.fd)
        except OSError as error:
            raise MovedError from error
        entry = Entry(place.depth, name, Kind.LINK, _PERMISSIONS, len(target), b"", target)
        self._entries.append(entry)

    def _file(self, place: Place, name: bytes, status: os.stat_result) -> None:
        self._spend(name, status.st_size)
        digest = self._known.digest(status)
        if digest is not None and self._adding.has(digest):
            self._fresh.learn(status, digest, begun_ns=self._begun_ns)
        else:
            self._left += status.st_size  # what is read is what counts
            try:
                descriptor = os.open(name, FILE_FLAGS, dir_fd=place.fd)
            except PermissionError:
                self._skip(name, "may not be read by this process")
                return
            except OSError as error:
                raise MovedError from error
            try:
                status, digest = self._read(name, descriptor)
            finally:
                os.close(descriptor)
            self._spend(name, status.st_size)
        mode = status.st_mode & _PERMISSIONS
        self._entries.append(Entry(place.depth, name, Kind.FILE, mode, status.st_size, digest))

    def _read(self, name: bytes, descriptor: int) -> tuple[os.stat_result, bytes]:
        """Read a file until it is as it was when reading began, for a few times."""
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MovedError
        size, digest = 0, b""
        for _ in range(_READS):
            before = os.fstat(descriptor)
            size, digest = self._read_once(name, descriptor)
            reach("snapshot.file_read")
            after = os.fstat(descriptor)
            if _times(before) == _times(after) and size == after.st_size:
                self._fresh.learn(after, digest, begun_ns=self._begun_ns)
                return after, digest
        self._skip(name, "changed while it was read; it is kept as it was found")
        return _resized(os.fstat(descriptor), size), digest

    def _read_once(self, name: bytes, descriptor: int) -> tuple[int, bytes]:
        os.lseek(descriptor, 0, os.SEEK_SET)
        size = 0

        def blocks() -> Iterator[bytes]:
            nonlocal size
            while block := os.read(descriptor, BLOCK_BYTES):
                size += len(block)
                if size > self._left:
                    self._spend(name, size)
                yield block

        digest = self._adding.blob(blocks())
        return size, digest

    def _spend(self, name: bytes, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise WorkspaceTooLargeError(
                f"The workspace holds more than {self._bounds.size_bytes} bytes; "
                f"{name.decode(errors='backslashreplace')!r} would pass it."
            )

    def _skip(self, name: bytes, reason: str) -> None:
        shown = b"/".join([*self._path[:8], name]).decode(errors="backslashreplace")
        self._skipped.append(Skipped(shown[:400], reason))


def _times(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _resized(status: os.stat_result, size: int) -> os.stat_result:
    values = list(status)
    values[stat.ST_SIZE] = size
    return os.stat_result(values)


_SPECIAL = {
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
