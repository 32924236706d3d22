"""Going through a folder that somebody hostile has filled: down and up, and never out.

Only descriptors are followed. A name is opened below the folder that is open, without following
links and without crossing onto another file system. The way up is `..` of the open folder, which
is a place of the kernel's and not a name; where it leads is compared with where we came from, so a
folder that is moved away meanwhile ends the walk. One descriptor is open at a time, however deep.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import UnsafePathError

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class MovedError(Exception):
    """Somebody moved what is being walked through; begin again from the top."""


class Place:
    """The folder where a walk is. Close it when done."""

    def __init__(self, folder: Path) -> None:
        if folder.is_symlink():
            raise UnsafePathError(f"{folder} is a link; a workspace is a folder.")
        self.fd = os.open(folder, FOLDER_FLAGS)
        status = os.fstat(self.fd)
        self.device = status.st_dev
        self.uid, self.gid = status.st_uid, status.st_gid
        self._here = (status.st_dev, status.st_ino)
        self._above: list[tuple[int, int]] = []

    @property
    def depth(self) -> int:
        return len(self._above)

    def names(self) -> Iterator[bytes]:
        """Go through what is in this folder, in no order."""
        with os.scandir(self.fd) as found:
            for item in found:
                yield os.fsencode(item.name)

    def look(self, name: bytes) -> os.stat_result | None:
        """Say what stands there, without following it; None when nothing does (any more)."""
        try:
            return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def down(self, name: bytes) -> None:
        """Enter a folder of this one; what is a link by now is not entered."""
        try:
            below = os.open(name, FOLDER_FLAGS, dir_fd=self.fd)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise MovedError from error
            raise
        status = os.fstat(below)
        if status.st_dev != self.device:
            os.close(below)
            raise UnsafePathError(f"Another file system is mounted below the workspace ({name!r}).")
        os.close(self.fd)
        self.fd = below
        self._above.append(self._here)
        self._here = (status.st_dev, status.st_ino)

    def up(self) -> None:
        """Go back to the folder this one was entered from."""
        above = os.open("..", FOLDER_FLAGS, dir_fd=self.fd)
        status = os.fstat(above)
        os.close(self.fd)
        self.fd = above
        self._here = self._above.pop()
        if self._here != (status.st_dev, status.st_ino):
            raise MovedError

    def close(self) -> None:
        os.close(self.fd)
