"""Which folders are accepted as workspaces: those below the configured one, and no detours."""

import os
import stat
from pathlib import Path

from sandbox.errors import UnsafePathError
from sandbox.leases import FIRST_UID, MOST


def accepted(root: Path, asked: str) -> Path:
    """Return the workspace as a path below `root`.

    No part of the way may be a link, and none above the workspace may belong to a sandbox: what is
    mounted by root must not be chosen by the work.

    Raises:
        UnsafePathError: It is anything else; the sentence says what.
    """
    path = Path(asked)
    if "\0" in asked or not path.is_absolute() or ".." in path.parts:
        raise _refused(asked, "the path is not absolute and plain")
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        raise _refused(asked, f"it is not below {root}") from None
    if not parts:
        raise _refused(asked, "it is the folder of all workspaces")
    try:
        _walk(root, parts)
    except OSError as error:
        raise _refused(asked, os.strerror(error.errno or 0)) from error
    return root.joinpath(*parts)


def _walk(root: Path, parts: tuple[str, ...]) -> None:
    place = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parts:
            if FIRST_UID <= os.fstat(place).st_uid < FIRST_UID + MOST:
                raise _refused(str(root.joinpath(*parts)), "it is inside another workspace")
            following = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = following
            mode = os.fstat(place).st_mode
            if stat.S_ISLNK(mode):
                raise _refused(str(root.joinpath(*parts)), f"{name} is a link")
            if not stat.S_ISDIR(mode):
                raise _refused(str(root.joinpath(*parts)), f"{name} is no folder")
    finally:
        os.close(place)


def _refused(asked: str, reason: str) -> UnsafePathError:
    return UnsafePathError(
        f"The sandbox worker does not take {asked!r} as a workspace: {reason}.",
        remedy="Name a folder below the worker's --workspaces folder.",
    )
