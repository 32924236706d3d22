"""Deleting a workspace, however deep and whatever it is made of, and never anything beside it."""

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.errors import UnsafePathError
from sandbox.workspaces import quota

_SECONDS = 120.0


def delete_workspace(workspace: Path) -> None:
    """Unmount and delete the folder and its disk; what is not there is no error.

    `rm` walks by descriptors and does not follow links; Python's own removal gives up on trees a
    few thousand folders deep. No sandbox may have the workspace open.

    Raises:
        UnsafePathError: The folder itself is a link, or could not be deleted.
    """
    if workspace.is_symlink():
        raise UnsafePathError(f"{workspace} is a link; a workspace is a folder.")
    quota.detach(workspace)
    program = shutil.which("rm") or "/bin/rm"
    done = subprocess.run(
        [program, "-rf", "--one-file-system", "--", os.path.abspath(workspace)],  # noqa: PTH100 - must not follow
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise UnsafePathError(
            f"{workspace} could not be deleted: {done.stderr[-300:].decode(errors='replace')}"
        )
    quota.disk_of(workspace).unlink(missing_ok=True)
    workspace.with_name(f"{workspace.name}.lock").unlink(missing_ok=True)
