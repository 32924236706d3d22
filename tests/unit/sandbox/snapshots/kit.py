"""Files of every sort, and taking a snapshot of them."""

import os
import time
from pathlib import Path
from typing import Any

from sandbox.workspaces.snapshots import Bounds, Snapshot, SnapshotStore, listing, take_snapshot

PLENTY = Bounds(size_bytes=64 * 1024 * 1024, entries=20_000)
HOUR = 3600.0


def taken(folder: Path, store: SnapshotStore, **options: Any) -> Snapshot:
    return take_snapshot(folder, store, **{"bounds": PLENTY, **options})


def names(snapshot: Snapshot) -> list[str]:
    return [listed.path for listed in listing(snapshot.tree)]


def fill(folder: Path) -> None:
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "src" / "main.py").write_bytes(b"print(1)\n")
    (folder / "src" / "deep" / "empty").write_bytes(b"")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "outside").symlink_to("/etc/passwd")
    (folder / "nothing").mkdir()


def deep_tree(folder: Path, depth: int) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def age(store: SnapshotStore, hours: float = 48) -> None:
    """Make everything in the store older than it is."""
    then = time.time() - hours * HOUR
    for path in store.folder.rglob("*"):
        os.utime(path, (then, then))
