"""The store: contents and trees under their digests, each whole and on disk before it has a name.

    blobs/ab/cdef…   the content of files
    trees/ab/cdef…   encoded trees
    new/             being written; nobody refers to it
    lock             shared while something is added or renewed, exclusive while it is deleted

What is added is flushed to disk before it is renamed to its digest, and its folder afterwards: when
`Adding.tree` returns, the snapshot survives the loss of power. Adding what is there already renews
its time, so that whoever collects old things leaves it alone until a checkpoint names it.
"""

import ctypes
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.pausepoints import reach
from sandbox.errors import SnapshotGoneError, UnsafePathError
from sandbox.workspaces.snapshots.trees import EMPTY, Tree, decoded

BLOCK_BYTES = 1024 * 1024
_FLUSHED_ONE_BY_ONE = 32
_NEW_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class SnapshotStore:
    """A folder of ours that no sandbox can write. Any number of processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def adding(self) -> Iterator["Adding"]:
        """Collect contents for one tree; without `Adding.tree` nothing of them stays."""
        for name in ("blobs", "trees", "new"):
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.locked(fcntl.LOCK_SH):
            adding = Adding(self)
            try:
                yield adding
            finally:
                adding.drop()

    @contextmanager
    def locked(self, kind: int) -> Iterator[None]:
        """Hold the store's lock; raises `BlockingIOError` where `kind` does not wait."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.folder / "lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def blob_path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest[:2] / digest[2:]

    def tree_path(self, digest: str) -> Path:
        return self.folder / "trees" / digest[:2] / digest[2:]

    def has_blob(self, digest: str) -> bool:
        """Say whether a content is there, and keep it from being collected for now."""
        return _renewed(self.blob_path(digest))

    def tree(self, digest: str) -> Tree:
        """Read a tree.

        Raises:
            SnapshotGoneError: It is not kept any more, or is damaged.
        """
        if digest == EMPTY.digest:
            return EMPTY
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise SnapshotGoneError(f"There is no snapshot {digest[:64]!r}.")
        try:
            data = self.tree_path(digest).read_bytes()
        except FileNotFoundError:
            raise SnapshotGoneError(f"The snapshot {digest[:12]} is not kept any more.") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise SnapshotGoneError(f"The snapshot {digest[:12]} is damaged on disk.")
        try:
            return decoded(data)
        except UnsafePathError as error:
            raise SnapshotGoneError(
                f"The snapshot {digest[:12]} cannot be read: {error}"
            ) from error

    def renew(self, digest: str) -> Tree:
        """Return a tree of which everything is there, and keep it from being collected for now.

        Raises:
            SnapshotGoneError: Something of it is not kept any more.
        """
        if digest == EMPTY.digest:
            return EMPTY
        if not self.folder.is_dir():
            raise SnapshotGoneError(f"The snapshot {digest[:12]} is not kept any more.")
        with self.locked(fcntl.LOCK_SH):
            tree = self.tree(digest)
            if not _renewed(self.tree_path(digest)) or not all(map(self.has_blob, tree.blobs)):
                raise SnapshotGoneError(
                    f"Files of the snapshot {digest[:12]} are not kept any more."
                )
        return tree

    def copy(self, digest: bytes, target: int) -> None:
        """Write a content into the open file `target`.

        Raises:
            SnapshotGoneError: It is not there, or is not what its name says.
        """
        hasher = hashlib.sha256()
        try:
            with self.blob_path(digest.hex()).open("rb", buffering=0) as source:
                while block := source.read(BLOCK_BYTES):
                    hasher.update(block)
                    write_all(target, block)
        except FileNotFoundError:
            raise SnapshotGoneError(f"The content {digest.hex()[:12]} is not kept.") from None
        if hasher.digest() != digest:
            raise SnapshotGoneError(f"The content {digest.hex()[:12]} is damaged on disk.")


class Adding:
    """Contents on their way into the store."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._waiting: dict[str, Path] = {}  # digest -> where its content lies for now
        self._open: Path | None = None

    def blob(self, blocks: Iterator[bytes]) -> bytes:
        """Take a content in and return its digest."""
        path = self._store.folder / "new" / secrets.token_hex(16)
        self._open = path
        hasher = hashlib.sha256()
        descriptor = -1
        held = b""
        try:
            for block in blocks:
                hasher.update(block)
                if descriptor < 0 and held:
                    descriptor = os.open(path, _NEW_FLAGS, 0o600)
                    write_all(descriptor, held)
                if descriptor >= 0:
                    write_all(descriptor, block)
                else:
                    held = block
            digest = hasher.hexdigest()
            if digest not in self._waiting and not self._store.has_blob(digest):
                if descriptor < 0:
                    descriptor = os.open(path, _NEW_FLAGS, 0o600)
                    write_all(descriptor, held)
                self._waiting[digest] = path
            elif descriptor >= 0:
                path.unlink()
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        self._open = None
        return hasher.digest()

    def has(self, digest: bytes) -> bool:
        return digest.hex() in self._waiting or self._store.has_blob(digest.hex())

    def tree(self, tree: Tree) -> None:
        """Make the contents and the tree durable, in this order."""
        reach("snapshot.before_flush")
        self._settle("blobs", self._waiting)
        self._waiting = {}
        reach("snapshot.before_tree")
        if tree != EMPTY and not _renewed(self._store.tree_path(tree.digest)):
            path = self._store.folder / "new" / secrets.token_hex(16)
            descriptor = os.open(path, _NEW_FLAGS, 0o600)
            try:
                write_all(descriptor, tree.encoded())
            finally:
                os.close(descriptor)
            self._settle("trees", {tree.digest: path})
        reach("snapshot.after_tree")

    def drop(self) -> None:
        """Forget what was not made durable."""
        for path in (*self._waiting.values(), *([self._open] if self._open else [])):
            path.unlink(missing_ok=True)

    def _settle(self, kind: str, waiting: dict[str, Path]) -> None:
        if not waiting:
            return
        _flush(self._store.folder, list(waiting.values()))
        home = self._store.folder / kind
        folders: set[Path] = set()
        for digest, path in waiting.items():
            folder = home / digest[:2]
            folder.mkdir(mode=0o700, exist_ok=True)
            path.rename(folder / digest[2:])
            folders.add(folder)
        _flush(self._store.folder, [*folders, home])


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything, also where the kernel takes it in parts."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _renewed(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _flush(folder: Path, paths: list[Path]) -> None:
    """Bring files or folders to the disk: one by one, or with the whole file system when many."""
    if len(paths) > _FLUSHED_ONE_BY_ONE:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.syncfs(ctypes.c_int(descriptor)) == 0:
                return
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
        finally:
            os.close(descriptor)
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
