"""Which folders are accepted as workspaces, and whose: those below the configured one, no detours,
and files that the caller and the sandbox can both work with."""

import os
import stat
from pathlib import Path

from sandbox.errors import SandboxUnavailableError, UnsafePathError
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


def refuse_what_cannot_be_shared(workspace: Path, *, peer: int) -> None:
    """Refuse an opening after which the caller, user `peer`, or the work could not use the files.

    The caller reads, writes and snapshots a workspace itself. As root we give it to a user of the
    sandbox, whom root alone can look into; as another user we can give nothing away.

    Raises:
        SandboxUnavailableError: The sentence says who would be kept out.
    """
    own, owner = os.geteuid(), workspace.stat().st_uid
    if own == 0 and peer != 0:
        raise SandboxUnavailableError(
            f"The sandbox worker is root and gives the workspace {workspace.name} to a user of the "
            f"sandbox, so its caller, user {peer}, could not reach the files afterwards; "
            "nothing ran.",
            remedy=f"Run the agent workers as root, or the sandbox worker as user {peer} with what "
            "it cannot hold then in AGENTRY_SANDBOX_WITHOUT; docs/operate/sandbox.md says why.",
        )
    if own not in {0, owner}:
        raise SandboxUnavailableError(
            f"The workspace {workspace.name} is user {owner}'s and the sandbox worker is user "
            f"{own}, so nothing inside could write it; nothing ran.",
            remedy="Run the sandbox worker and the agent workers as the same user.",
        )


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
