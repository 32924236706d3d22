"""What became of the files of runs whose workers were killed. Called inside; see `inside`."""

import tempfile
from pathlib import Path
from uuid import UUID

from django.conf import settings

from agents.execution.folders import Folders, store_of
from agents.models import Checkpoint, Run, WorkspaceHead
from sandbox.workspaces.snapshots import Bounds, restore_snapshot

BOUNDS = Bounds(size_bytes=10**8, entries=10**5)
WANTED = sorted(
    ["end", "last", "own", *(f"{who} {n}" for who in ("one", "two") for n in (1, 2, 3))]
)


def complaints(*, roots: list[str]) -> list[str]:
    """Say what is wrong: a line that is missing or there twice, or a folder, a head and a last
    checkpoint that are not the same."""
    found = []
    for root in roots:
        run = Run.objects.get(pk=UUID(root))
        head = WorkspaceHead.objects.get(root_id=run.pk).digest
        last = Checkpoint.objects.filter(run=run).order_by("sequence").last()
        if last is None or last.workspace_digest != head:
            found.append(f"{run} ends with other files than its head names")
        folder = Folders(settings.WORKSPACES_DIR, BOUNDS).folder(run.workspace_id, run.pk)
        if not folder.lock():
            found.append(f"somebody is still at work in the files of {run}")
            continue
        begun = folder.begin(head, changes=True)
        left = folder.leave()
        folder.end(left.digest)
        folder.unlock()
        if left.digest != head or begun.note:
            found.append(f"{run} has other files than its head names: {begun.note}")
        with tempfile.TemporaryDirectory() as copy:
            store = store_of(settings.WORKSPACES_DIR, run.workspace_id)
            restore_snapshot(Path(copy), store, head)
            lines = sorted((Path(copy) / "shared.txt").read_text().splitlines())
        if lines != WANTED:
            found.append(f"{run} has the lines {lines}")
    return found
