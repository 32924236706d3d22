"""Snapshots of a workspace by digest: what its files were, kept once for all who have them.

A tree lists every folder, file and link; a file's content is a blob named by its SHA-256, so a
second snapshot of an unchanged file costs a look at its inode. Kept are names, kinds, contents,
targets of links and permission bits. Not kept are times, owners, set-user-id bits, extended
attributes, holes and which names share an inode; FIFOs, sockets and devices are named as skipped.
"""

from sandbox.workspaces.snapshots.collecting import Collected, collect
from sandbox.workspaces.snapshots.restoring import restore_snapshot
from sandbox.workspaces.snapshots.store import SnapshotStore
from sandbox.workspaces.snapshots.taking import Bounds, Known, Skipped, Snapshot, take_snapshot
from sandbox.workspaces.snapshots.trees import (
    EMPTY,
    Difference,
    Entry,
    Kind,
    Tree,
    difference,
    listing,
)

__all__ = [
    "EMPTY",
    "Bounds",
    "Collected",
    "Difference",
    "Entry",
    "Kind",
    "Known",
    "Skipped",
    "Snapshot",
    "SnapshotStore",
    "Tree",
    "collect",
    "difference",
    "listing",
    "restore_snapshot",
    "take_snapshot",
]
