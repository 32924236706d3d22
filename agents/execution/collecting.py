"""Collecting snapshots that no checkpoint names any more, workspace by workspace."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import Q

from agents.contracts import UNKEPT
from agents.execution.folders import store_of
from agents.models import Checkpoint, WorkspaceHead
from agents.transitions import LIVE
from core import clock
from sandbox.workspaces.snapshots import Collected, collect

logger = logging.getLogger(__name__)
PERIOD_SECONDS = 3600.0


class CollectedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted of one workspace's snapshots."""

    workspace_id: UUID
    found: Collected


def snapshots_collect_due(*, is_over: Callable[[], bool]) -> bool:
    """Collect when nobody has done so for an hour; say whether it was done. Any process may ask."""
    folder: Path = settings.WORKSPACES_DIR.parent / "snapshots"
    if not folder.is_dir():
        return False
    descriptor = os.open(folder / "collected", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if status.st_size and time.time() - status.st_mtime < PERIOD_SECONDS:
            return False
        snapshots_collect(is_over=is_over)
        if not is_over():
            os.pwrite(descriptor, b"done", 0)
            os.utime(descriptor)
    except BlockingIOError:
        return False  # somebody is at it
    finally:
        os.close(descriptor)
    return True


def snapshots_collect(
    *, grace_hours: float | None = None, is_over: Callable[[], bool] = lambda: False
) -> list[CollectedIn]:
    """Delete what no checkpoint names that may still be resumed or forked. Blocking; safe twice.

    The files of a run that ended more than AGENTRY_SNAPSHOT_DAYS ago are named no more; its
    checkpoints stay, and a fork of them says that its files are gone. What is younger than
    `grace_hours` (default: AGENTRY_SNAPSHOT_GRACE_HOURS) is never deleted. `is_over` is asked now
    and then; when it says so, the rest is left for another time.
    """
    hours = settings.SNAPSHOT_GRACE_HOURS if grace_hours is None else max(grace_hours, 1.0)
    result = []
    for workspace_id in _stores():
        found = collect(
            store_of(settings.WORKSPACES_DIR, workspace_id),
            named=_named(workspace_id),
            older_than_seconds=hours * 3600,
            is_over=is_over,
        )
        result.append(CollectedIn(workspace_id=workspace_id, found=found))
        if found.gone:
            logger.warning(
                "snapshots_gone",
                extra={"workspace": str(workspace_id), "count": len(found.gone)},
            )
    return result


def _stores() -> Iterator[UUID]:
    """The workspaces that have snapshots on this disk, also those that were deleted."""
    folder: Path = settings.WORKSPACES_DIR.parent / "snapshots"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir():
            yield UUID(path.name)


def _named(workspace_id: UUID) -> set[str]:
    """The digests that checkpoints name; read after no snapshot that is older than the grace."""
    checkpoints = Checkpoint.objects.filter(run__workspace_id=workspace_id)
    heads = WorkspaceHead.objects.filter(workspace_id=workspace_id)
    if settings.SNAPSHOT_DAYS:
        since = clock.now() - timedelta(days=settings.SNAPSHOT_DAYS)
        checkpoints = checkpoints.filter(Q(run__state__in=LIVE) | Q(run__finished_at__gte=since))
        alive = checkpoints.values("run__root_id")
        heads = heads.filter(Q(updated_at__gte=since) | Q(root_id__in=alive))
    kept = checkpoints.exclude(workspace_digest="")
    digests = set(kept.values_list("workspace_digest", flat=True).distinct())
    digests |= set(heads.values_list("digest", flat=True))
    return {digest for digest in digests if not digest.startswith(UNKEPT)}
