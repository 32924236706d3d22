"""Files of checkpoints: reading their snapshots and keeping them from being collected."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from uuid import UUID

import msgspec
from django.conf import settings

from agents.contracts import UNKEPT
from agents.execution.folders import store_of
from agents.models import Checkpoint, Run
from agents.tools.confine import PRIVATE
from core.errors import LimitExceededError, NotFoundError
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots import (
    EMPTY,
    Entry,
    Kind,
    SnapshotStore,
    Tree,
    difference,
    listing,
)

MAX_NAMES = 1000


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


class ShownFile(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a list of files, for people and programs."""

    path: str
    kind: str
    mode: str
    size_bytes: int
    digest: str | None
    target: str | None


def files_shown(tree: Tree) -> Iterator[ShownFile]:
    """Go through a list of files, without our own records among them."""
    for path, entry in _theirs(tree):
        yield ShownFile(
            path=path,
            kind=entry.kind.value,
            mode=f"{entry.mode:04o}",
            size_bytes=entry.size_bytes,
            digest=entry.digest.hex() or None,
            target=entry.target.decode(errors="backslashreplace") if entry.target else None,
        )


class FilesChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The names that differ between the files of two checkpoints."""

    since: int
    checkpoint: int
    added: list[str]
    changed: list[str]
    removed: list[str]
    is_truncated: bool


def files_changed(run: Run, earlier: Checkpoint, later: Checkpoint) -> FilesChanged:
    """Compare the files of two checkpoints of a run.

    Raises:
        SnapshotGoneError: Those of one are not kept any more, or never could be.
    """
    found = difference(files_of(run.workspace_id, earlier), files_of(run.workspace_id, later))
    lists = [
        [path for path in paths if not _is_ours(path)]
        for paths in (found.added, found.changed, found.removed)
    ]
    added, changed, removed = (paths[:MAX_NAMES] for paths in lists)
    return FilesChanged(
        since=earlier.sequence,
        checkpoint=later.sequence,
        added=added,
        changed=changed,
        removed=removed,
        is_truncated=any(len(paths) > MAX_NAMES for paths in lists),
    )


def file_read(workspace_id: UUID, checkpoint: Checkpoint, path: str, *, max_bytes: int) -> bytes:
    """Return the content of a file as it was at a checkpoint.

    Raises:
        NotFoundError: There was no such file.
        LimitExceededError: It is larger than `max_bytes`.
        SnapshotGoneError: It is not kept any more.
    """
    entry = next(
        (
            entry
            for name, entry in _theirs(files_of(workspace_id, checkpoint))
            if name == path and entry.kind is Kind.FILE
        ),
        None,
    )
    if entry is None:
        raise NotFoundError(
            f"There is no file {path[:200]!r} at checkpoint {checkpoint.sequence}.",
            remedy="Take a name from the list of its files.",
        )
    if entry.size_bytes > max_bytes:
        raise LimitExceededError(
            f"{path[:200]!r} has {entry.size_bytes} bytes; at most {max_bytes} are shown.",
            remedy="Have the run copy a part of it, or fork the run and look inside.",
        )
    with TemporaryFile() as target:
        store(workspace_id).copy(entry.digest, target.fileno())
        target.seek(0)
        return target.read()


def _theirs(tree: Tree) -> Iterator[tuple[str, Entry]]:
    for listed in listing(tree):
        if not _is_ours(listed.path):
            yield listed.path, listed.entry


def _is_ours(path: str) -> bool:
    return path == PRIVATE or path.startswith(f"{PRIVATE}/")


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
