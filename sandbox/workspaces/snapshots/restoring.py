"""Restoring: making a folder hold exactly what a snapshot says, in place.

The folder itself stays, since it may be a mounted disk that sandboxes look at. What is right
already is left alone. Dying in the middle leaves a mixture; restoring again makes it right.
"""

import hashlib
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from core.pausepoints import reach
from sandbox.errors import UnsafePathError
from sandbox.workspaces.snapshots.places import FILE_FLAGS, MovedError, Place
from sandbox.workspaces.snapshots.store import BLOCK_BYTES, SnapshotStore
from sandbox.workspaces.snapshots.trees import Entry, Kind, Tree

_REMOVE_SECONDS = 120.0
_AT_ONCE = 500
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_Paths = frozenset[tuple[bytes, ...]]


def restore_snapshot(
    folder: Path, store: SnapshotStore, digest: str, *, untouched: _Paths = frozenset()
) -> Tree:
    """Bring a folder to a snapshot and return its tree; nothing is changed when that is gone.

    Nobody else writes meanwhile. New files belong to the owner of the folder where this process may
    give them away. `untouched` are paths, in parts, that stay as they are.

    Raises:
        SnapshotGoneError: Something of the snapshot is not kept any more, or is damaged.
        UnsafePathError: Something is mounted in the folder, or somebody is moving things about.
    """
    tree = store.renew(digest)
    restore = _Restore(folder, store, tree, untouched)
    try:
        restore.run()
    except MovedError:
        raise UnsafePathError(
            "The folders of the workspace are moved while it is restored."
        ) from None
    return tree


class _Restore:
    def __init__(self, folder: Path, store: SnapshotStore, tree: Tree, untouched: _Paths) -> None:
        self._place = Place(folder)
        self._store = store
        self._tree = tree
        self._untouched = untouched
        self._path: list[bytes] = []
        self._modes: list[int] = []  # of the folders entered, set when they are left
        self._owner: tuple[int, int] | None = None
        if os.geteuid() == 0 and (self._place.uid, self._place.gid) != (0, 0):
            self._owner = (self._place.uid, self._place.gid)

    def run(self) -> None:
        names = _names_by_folder(self._tree)
        try:
            self._clear(names[-1])
            for index, entry in enumerate(self._tree.entries):
                self._leave_to(entry.depth)
                reach("restore.entry")
                match entry.kind:
                    case Kind.FILE:
                        self._file(entry)
                    case Kind.LINK:
                        self._link(entry)
                    case Kind.FOLDER:
                        self._enter(entry)
                        self._clear(names[index])
            self._leave_to(0)
        finally:
            self._place.close()

    def _leave_to(self, depth: int) -> None:
        while self._place.depth > depth:
            os.fchmod(self._place.fd, self._modes.pop())
            self._place.up()
            self._path.pop()

    def _clear(self, wanted: set[bytes]) -> None:
        """Remove what this folder holds and should not."""
        surplus = [
            name
            for name in self._place.names()
            if name not in wanted and not self._stays((*self._path, name))
        ]
        self._remove(surplus)

    def _stays(self, path: tuple[bytes, ...]) -> bool:
        return any(kept[: len(path)] == path for kept in self._untouched)

    def _remove(self, names: Iterable[bytes]) -> None:
        folders: list[bytes] = []
        for name in names:
            status = self._place.look(name)
            if status is not None and stat.S_ISDIR(status.st_mode):
                folders.append(name)
            elif status is not None:
                os.unlink(name, dir_fd=self._place.fd)
        for start in range(0, len(folders), _AT_ONCE):
            self._remove_folders(folders[start : start + _AT_ONCE])

    def _remove_folders(self, names: list[bytes]) -> None:
        # `rm` goes by descriptors, follows nothing, and gives up at no depth.
        program = shutil.which("rm") or "/bin/rm"
        done = subprocess.run(
            [program, "-rf", "--one-file-system", "--", *names],
            cwd=f"/proc/self/fd/{self._place.fd}",
            capture_output=True,
            timeout=_REMOVE_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            words = done.stderr[-300:].decode(errors="replace")
            raise UnsafePathError(f"The workspace could not be restored: {words}")

    def _enter(self, entry: Entry) -> None:
        status = self._place.look(entry.name)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            self._remove([entry.name])
            status = None
        if status is None:
            os.mkdir(entry.name, 0o700, dir_fd=self._place.fd)
        self._place.down(entry.name)
        self._path.append(entry.name)
        self._modes.append(entry.mode)
        if status is None:
            self._give(self._place.fd)
        elif status.st_mode & 0o700 != 0o700:
            os.fchmod(self._place.fd, 0o700)

    def _link(self, entry: Entry) -> None:
        status = self._place.look(entry.name)
        is_link = status is not None and stat.S_ISLNK(status.st_mode)
        if is_link and os.readlink(entry.name, dir_fd=self._place.fd) == entry.target:
            return
        if status is not None:
            self._remove([entry.name])
        os.symlink(entry.target, entry.name, dir_fd=self._place.fd)
        if self._owner is not None:
            os.chown(entry.name, *self._owner, dir_fd=self._place.fd, follow_symlinks=False)

    def _file(self, entry: Entry) -> None:
        status = self._place.look(entry.name)
        if status is not None and self._is_right(entry, status):
            return
        if status is not None and stat.S_ISDIR(status.st_mode):
            self._remove([entry.name])
        passing = b".agentry-new-" + secrets.token_hex(8).encode()
        descriptor = os.open(passing, _CREATE_FLAGS, 0o600, dir_fd=self._place.fd)
        try:
            self._store.copy(entry.digest, descriptor)
            self._give(descriptor)
            os.fchmod(descriptor, entry.mode)
        except BaseException:
            os.unlink(passing, dir_fd=self._place.fd)
            raise
        finally:
            os.close(descriptor)
        fd = self._place.fd
        os.rename(passing, entry.name, src_dir_fd=fd, dst_dir_fd=fd)

    def _is_right(self, entry: Entry, status: os.stat_result) -> bool:
        """Say whether what is there is this file; its permissions are mended."""
        # A name that shares its inode is made anew: mending one would change the other.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        if status.st_size != entry.size_bytes:
            return False
        try:
            descriptor = os.open(entry.name, FILE_FLAGS, dir_fd=self._place.fd)
        except OSError:
            return False  # it is replaced
        try:
            hasher = hashlib.sha256()
            while block := os.read(descriptor, BLOCK_BYTES):
                hasher.update(block)
            if hasher.digest() != entry.digest or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            if status.st_mode & 0o7777 != entry.mode:
                os.fchmod(descriptor, entry.mode)
        finally:
            os.close(descriptor)
        return True

    def _give(self, descriptor: int) -> None:
        if self._owner is not None:
            os.fchown(descriptor, *self._owner)


def _names_by_folder(tree: Tree) -> dict[int, set[bytes]]:
    """Return the names in each folder, by the folder's index in the tree; -1 is the top."""
    found: dict[int, set[bytes]] = {-1: set()}
    parents: list[int] = []
    for index, entry in enumerate(tree.entries):
        del parents[entry.depth :]
        found[parents[-1] if parents else -1].add(entry.name)
        if entry.kind is Kind.FOLDER:
            found[index] = set()
            parents.append(index)
    return found
