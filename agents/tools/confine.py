"""Confinement: every file a tool opens lies inside the run's workspace folder.

A path is never handed to the kernel as a whole. It is split into names, and each name is opened
relative to the descriptor of the folder before it, with `O_NOFOLLOW`. A symbolic link is therefore
refused wherever it stands, and swapping a folder for a link between a check and a use has no
effect: there is no check apart from the open itself. This is the portable form of Linux'
`openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS` (openat2(2)).
"""

import errno
import fcntl
import hashlib
import os
import stat
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, TypeAlias

import msgspec

from agents.tools import points
from plugins.errors import ToolError

Parts: TypeAlias = tuple[str, ...]

PRIVATE = ".agentry"  # our own records; invisible to the tools
MAX_PATH_BYTES = 4000
MAX_NAME_BYTES = 255
MAX_DEPTH = 64
MAX_FOLDER_ENTRIES = 50_000
MAX_FILE_BYTES = 8 * 1024 * 1024  # what a tool reads whole, or writes
LOCK_WAIT_SECONDS = 10.0

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# O_NONBLOCK: opening a FIFO returns at once instead of waiting for its other end.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Kind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    OTHER = "special file"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One name in a folder, seen without following it."""

    name: str
    kind: Kind
    size_bytes: int
    mode: int


def parse_path(path: str, *, private: bool = False) -> Parts:
    """Split a path from a model into names below the workspace; `.` is the workspace itself.

    Raises `ToolError` for everything that could mean a place outside, that other systems read as a
    separator, or that is ours (`.agentry`, unless `private`).
    """
    shown = repr(path[:120])
    remedy = "Give a path relative to the workspace, such as src/main.py."
    if "\0" in path:
        raise ToolError(f"The path {shown} contains a NUL character.", remedy=remedy)
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in path):
        raise ToolError(f"The path {shown} contains control characters.", remedy=remedy)
    if "\\" in path:
        raise ToolError(f"The path {shown} contains a backslash.", remedy="Separate names with /.")
    if path.startswith("/") or (len(path) > 1 and path[1] == ":" and path[0].isalpha()):
        raise ToolError(f"The path {shown} is absolute.", remedy=remedy)
    if path == "~" or path.startswith("~/"):
        raise ToolError(f"The path {shown} names a home folder.", remedy=remedy)
    if len(path.encode()) > MAX_PATH_BYTES:
        raise ToolError(f"The path is longer than {MAX_PATH_BYTES} bytes.", remedy=remedy)
    parts = tuple(name for name in path.split("/") if name not in ("", "."))
    if ".." in parts:
        raise ToolError(f"The path {shown} goes up with `..`.", remedy=remedy)
    if any(len(name.encode()) > MAX_NAME_BYTES for name in parts):
        raise ToolError(f"A name in the path {shown} is longer than {MAX_NAME_BYTES} bytes.")
    if len(parts) > MAX_DEPTH:
        raise ToolError(f"The path {shown} is more than {MAX_DEPTH} folders deep.")
    if not private and parts and is_private(parts[0]):
        raise ToolError(
            f"{PRIVATE} holds the run's own records and is closed to file tools.",
            remedy="Use another folder.",
        )
    return parts


def is_private(name: str) -> bool:
    """Tell whether a name at the top of the workspace is ours, also where case does not count."""
    return unicodedata.normalize("NFKC", name).casefold() == PRIVATE


def shown_path(parts: Parts) -> str:
    return "/".join(parts) or "."


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _kind_of(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER


_SENTENCES = {
    errno.ENOENT: ("does not exist in the workspace", "Use ls or glob to see what there is."),
    errno.EACCES: ("may not be opened: its permissions forbid it", ""),
    errno.EPERM: ("may not be changed: the system forbids it", ""),
    errno.EISDIR: ("is a folder, not a file", "Use ls to see what is in it."),
    errno.ENOTEMPTY: ("is a folder that is not empty", ""),
    errno.ENAMETOOLONG: ("has a name that is too long", "Use a shorter one."),
    errno.ENOSPC: ("could not be written: the disk is full", ""),
    errno.EDQUOT: ("could not be written: the workspace's quota is used up", ""),
    errno.EROFS: ("could not be written: the workspace is read-only", ""),
    errno.ENXIO: ("is not a regular file", "Only regular files can be opened."),
    errno.EXDEV: ("lies on another file system than the workspace", ""),
}


@contextmanager
def _explained(parts: Parts) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what, remedy = _SENTENCES.get(error.errno or 0, (f"failed: {error.strerror}", ""))
        raise ToolError(f"{shown_path(parts)} {what}.", remedy=remedy) from error


class Workspace:
    """The run's folder, held open; everything is reached from its descriptor.

    Not shared between threads. Only `opened_workspace` makes one.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        status = os.fstat(root_fd)
        # A workspace that was given to a sandbox's user stays that user's, whatever we put in it.
        is_given = os.geteuid() == 0 and status.st_uid != 0
        self._owner = (status.st_uid, status.st_gid) if is_given else None

    @contextmanager
    def folder(self, parts: Parts, *, create: bool = False) -> Iterator[int]:
        """Open a folder and yield its descriptor; with `create`, make what is missing."""
        fd = os.dup(self._root_fd)
        try:
            for index, name in enumerate(parts):
                points.reached(points.OPENING, name)
                child = self._open_child(fd, name, parts[: index + 1], create)
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    def _open_child(self, fd: int, name: str, parts: Parts, create: bool) -> int:
        with _explained(parts):
            if create:
                # What stands there already is judged by the open below.
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=fd)
                    if self._owner is not None:
                        os.chown(name, *self._owner, dir_fd=fd, follow_symlinks=False)
            try:
                return os.open(name, _FOLDER_FLAGS, dir_fd=fd)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                raise self._refusal(fd, name, parts, "folder") from error

    def _refusal(self, fd: int, name: str, parts: Parts, wanted: str) -> ToolError:
        # The look is only for the sentence; the refusal has already happened.
        try:
            kind = _kind_of(os.lstat(name, dir_fd=fd).st_mode)
        except OSError:
            kind = Kind.OTHER
        if kind is Kind.LINK:
            return ToolError(
                f"{shown_path(parts)} is a symbolic link; links are not followed.",
                remedy="Use the path of the file itself.",
            )
        return ToolError(f"{shown_path(parts)} is a {kind}, not a {wanted}.")

    @contextmanager
    def opened(self, parts: Parts) -> Iterator[tuple[BinaryIO, os.stat_result]]:
        """Open a regular file for reading; a link, FIFO, socket or device is refused."""
        if not parts:
            raise ToolError("The workspace itself is a folder, not a file.")
        with self.folder(parts[:-1]) as fd:
            points.reached(points.OPENED_PARENT, parts[-1])
            with _explained(parts):
                try:
                    file_fd = os.open(parts[-1], _READ_FLAGS, dir_fd=fd)
                except OSError as error:
                    if error.errno != errno.ELOOP:
                        raise
                    raise self._refusal(fd, parts[-1], parts, "file") from error
        try:
            status = os.fstat(file_fd)
            if stat.S_ISDIR(status.st_mode):
                raise ToolError(f"{shown_path(parts)} is a folder, not a file.", remedy="Use ls.")
            if not stat.S_ISREG(status.st_mode):
                raise ToolError(f"{shown_path(parts)} is a {_kind_of(status.st_mode)}, not a file.")
        except ToolError:
            os.close(file_fd)
            raise
        with os.fdopen(file_fd, "rb") as file:
            yield file, status

    def read(self, parts: Parts, *, max_bytes: int = MAX_FILE_BYTES) -> tuple[bytes, int]:
        """Return a file's content and permission bits. Raises when it is larger than `max_bytes`,
        measured by what was read and not by what the file claims."""
        with self.opened(parts) as (file, status):
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ToolError(
                f"{shown_path(parts)} is larger than {max_bytes} bytes, the most this tool reads.",
                remedy="Use view with offset and limit, or grep.",
            )
        return data, stat.S_IMODE(status.st_mode) & 0o777

    def look(self, parts: Parts) -> Entry | None:
        """Say what stands at a path, without following it; None when nothing does."""
        if not parts:
            return Entry(name=".", kind=Kind.FOLDER, size_bytes=0, mode=0o755)
        try:
            with self.folder(parts[:-1]) as fd, _explained(parts):
                status = os.lstat(parts[-1], dir_fd=fd)
        except ToolError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return Entry(
            name=parts[-1],
            kind=_kind_of(status.st_mode),
            size_bytes=status.st_size,
            mode=stat.S_IMODE(status.st_mode) & 0o777,
        )

    def entries(self, parts: Parts, *, fd: int | None = None) -> list[Entry]:
        """List a folder by name, ours left out; `fd` is the folder when it is already open."""
        if fd is None:
            with self.folder(parts) as opened_fd:
                return self.entries(parts, fd=opened_fd)
        found: list[Entry] = []
        with _explained(parts), os.scandir(fd) as listing:
            for item in listing:
                if not parts and is_private(item.name):
                    continue
                if len(found) >= MAX_FOLDER_ENTRIES:
                    raise ToolError(
                        f"{shown_path(parts)} holds more than {MAX_FOLDER_ENTRIES} entries."
                    )
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # removed while we were listing
                found.append(
                    Entry(
                        name=item.name,
                        kind=_kind_of(status.st_mode),
                        size_bytes=status.st_size,
                        mode=stat.S_IMODE(status.st_mode) & 0o777,
                    )
                )
        return sorted(found, key=lambda entry: entry.name)

    def put(self, parts: Parts, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file whole or not at all: a temporary name in the same folder, flushed to disk,
        then renamed over the old one. Repeating it after a crash reuses the temporary name."""
        temporary = f".agentry-new-{digest_of(parts[-1].encode())[:24]}"
        with self.folder(parts[:-1], create=True) as fd, _explained(parts):
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=fd)  # left behind by a crash
            file_fd = os.open(temporary, _CREATE_FLAGS, 0o600, dir_fd=fd)
            with os.fdopen(file_fd, "wb") as file:
                if self._owner is not None:
                    os.fchown(file_fd, *self._owner)
                os.fchmod(file_fd, mode)
                file.write(data)
                file.flush()
                os.fsync(file_fd)
            os.rename(temporary, parts[-1], src_dir_fd=fd, dst_dir_fd=fd)
            os.fsync(fd)

    def move(self, source: Parts, target: Parts) -> None:
        """Rename, replacing the target in one step; a link at the target is replaced, not
        followed. Both ends are flushed to disk."""
        with (
            self.folder(source[:-1]) as source_fd,
            self.folder(target[:-1], create=True) as target_fd,
            _explained(target),
        ):
            os.rename(source[-1], target[-1], src_dir_fd=source_fd, dst_dir_fd=target_fd)
            os.fsync(target_fd)
            os.fsync(source_fd)

    def remove(self, parts: Parts) -> None:
        """Remove a file; nothing happens when it is not there."""
        with self.folder(parts[:-1]) as fd, _explained(parts):
            try:
                os.unlink(parts[-1], dir_fd=fd)
            except FileNotFoundError:
                return
            os.fsync(fd)

    @contextmanager
    def exclusive(self, *, wait_seconds: float | None = None) -> Iterator[None]:
        """Keep other changing calls out, also those of other processes, while the block runs.

        The kernel frees the lock when its holder dies. Raises `TimeoutError` when somebody holds
        it longer than `wait_seconds` (default: `LOCK_WAIT_SECONDS`).
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with self.folder((PRIVATE,), create=True) as fd, _explained((PRIVATE, "lock")):
            lock_fd = os.open("lock", flags, 0o600, dir_fd=fd)
        try:
            patience = LOCK_WAIT_SECONDS if wait_seconds is None else wait_seconds
            deadline = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise TimeoutError("the workspace is locked") from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(lock_fd)


@contextmanager
def opened_workspace(path: Path) -> Iterator[Workspace]:
    """Open the run's folder. Its own path is chosen by us and trusted; what is in it is not."""
    try:
        root_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ToolError(
            f"The run's workspace folder cannot be opened: {error.strerror}.",
            remedy="The operator can see its path in the run's details.",
        ) from error
    try:
        yield Workspace(root_fd)
    finally:
        os.close(root_fd)
