"""Files of a run: the folder its tools work in, filled before the run begins."""

import shutil
from pathlib import Path
from uuid import UUID

from django.conf import settings

from agents.services.runs.rows import controlled
from core.errors import ConflictError, InvalidInputError
from governance.contracts import Actor


def workspace_path(*, workspace_id: UUID, root_id: UUID) -> Path:
    """Return the folder that a run shares with everything it delegates to."""
    folder: Path = settings.WORKSPACES_DIR
    return folder / str(workspace_id) / str(root_id)


def workspace_seed(*, actor: Actor, run_id: UUID, source: Path) -> Path:
    """Copy the contents of a folder into the workspace of a run that has not begun.

    For whoever runs on the same machine or volume as the workers: `source` is read with the
    rights of this process. Links are copied as links. A worker that claims the run while the
    files are copied may see part of them; pause the run first where that matters.

    Raises:
        ConflictError: The run has begun, or its workspace holds files already.
        InvalidInputError: `source` is no folder.
    """
    run = controlled(actor, run_id)
    if run.message_count:
        raise ConflictError(
            "The run has begun; its files are its own now.", remedy="Start a new run."
        )
    if not source.is_dir():
        raise InvalidInputError(f"{source} is not a folder.", remedy="Name a folder to copy.")
    target = workspace_path(workspace_id=run.workspace_id, root_id=run.root_id)
    if target.exists() and any(target.iterdir()):
        raise ConflictError(f"The workspace of the run {run.pk} is not empty.")
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    return target
