"""Files of checkpoints: reading their snapshots and keeping them from being collected."""

from uuid import UUID

from django.conf import settings

from agents.contracts import UNKEPT
from agents.execution.folders import store_of
from agents.models import Checkpoint
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots import EMPTY, SnapshotStore, Tree


def store(workspace_id: UUID) -> SnapshotStore:
    """Return the snapshots of a workspace's runs."""
    return store_of(settings.WORKSPACES_DIR, workspace_id)


def files_renew(workspace_id: UUID, checkpoint: Checkpoint) -> None:
    """Make sure that a checkpoint's files can be restored, and that they are kept for now.

    Raises:
        SnapshotGoneError: They cannot.
    """
    digest = _digest(checkpoint)
    if digest:
        try:
            store(workspace_id).renew(digest)
        except SnapshotGoneError as error:
            raise _gone(checkpoint, error.message) from error


def files_of(workspace_id: UUID, checkpoint: Checkpoint) -> Tree:
    """Return the list of a checkpoint's files.

    Raises:
        SnapshotGoneError: They are not kept any more, or never could be.
    """
    digest = _digest(checkpoint)
    if not digest:
        return EMPTY
    try:
        return store(workspace_id).tree(digest)
    except SnapshotGoneError as error:
        raise _gone(checkpoint, error.message) from error


def _digest(checkpoint: Checkpoint) -> str:
    digest = checkpoint.workspace_digest
    if digest.startswith(UNKEPT):
        raise SnapshotGoneError(
            f"The files at checkpoint {checkpoint.sequence} were more than could be kept.",
            remedy="Choose an earlier or a later checkpoint.",
        )
    return digest


def _gone(checkpoint: Checkpoint, cause: str) -> SnapshotGoneError:
    return SnapshotGoneError(
        f"The files at checkpoint {checkpoint.sequence} cannot be had: {cause}",
        remedy="Choose a later checkpoint; AGENTRY_SNAPSHOT_DAYS says how long they are kept.",
    )
