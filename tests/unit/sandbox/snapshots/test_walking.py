"""Taking a snapshot while the files change, and without reading all of them again."""

from pathlib import Path

import pytest

from core import pausepoints
from sandbox.workspaces.snapshots import (
    EMPTY,
    Known,
    SnapshotStore,
    difference,
    restore_snapshot,
)
from tests.unit.sandbox.snapshots.kit import fill, names, taken


def test_a_file_that_changes_while_it_is_read_is_read_again(
    folder: Path, store: SnapshotStore
) -> None:
    (folder / "file").write_text("before")
    times = iter(range(10))

    def change() -> None:
        if next(times) == 0:
            (folder / "file").write_text("afterwards")

    with pausepoints.at("snapshot.file_read", change):
        snapshot = taken(folder, store)

    assert snapshot.skipped == ()
    restore_snapshot(folder, store, EMPTY.digest)
    restore_snapshot(folder, store, snapshot.digest)
    assert (folder / "file").read_text() == "afterwards"


def test_a_file_that_never_stays_the_same_is_kept_as_found_and_named(
    folder: Path, store: SnapshotStore
) -> None:
    (folder / "log").write_text("x")

    def grow() -> None:
        with (folder / "log").open("a") as file:
            file.write("x")

    with pausepoints.at("snapshot.file_read", grow):
        snapshot = taken(folder, store)

    assert [item.name for item in snapshot.skipped] == ["log"]
    restore_snapshot(folder, store, snapshot.digest)
    assert taken(folder, store).digest == snapshot.digest


def test_a_folder_that_is_moved_during_the_walk_is_walked_again(
    folder: Path, store: SnapshotStore
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "c").mkdir()
    times = iter(range(10))

    def move() -> None:
        if next(times) == 0:
            (folder / "a" / "b").rename(folder / "c" / "b")

    with pausepoints.at("snapshot.file_read", move):
        snapshot = taken(folder, store)

    assert names(snapshot) == ["a", "c", "c/b", "c/b/file"]


def test_a_folder_swapped_for_a_link_leads_nowhere(folder: Path, store: SnapshotStore) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "file").write_text("x")
    (folder / "b").mkdir()
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("the host's")

    def swap() -> None:
        if not (folder / "b").is_symlink():
            (folder / "b").rmdir()
            (folder / "b").symlink_to(outside)

    with pausepoints.at("snapshot.file_read", swap):
        snapshot = taken(folder, store)

    assert names(snapshot) == ["a", "a/file", "b"]


def test_unchanged_files_are_not_read_again(
    folder: Path, store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder)
    known = Known()
    monkeypatch.setattr("sandbox.workspaces.snapshots.taking._TOO_FRESH_NS", -(10**12))
    first = taken(folder, store, known=known)
    reads: list[str] = []
    (folder / "run.sh").write_bytes(b"#!/bin/bash\n")

    with pausepoints.at("snapshot.file_read", lambda: reads.append("read")):
        second = taken(folder, store, known=known)

    assert len(reads) == 1
    assert difference(first.tree, second.tree).changed == ("run.sh",)


def test_a_file_as_young_as_the_snapshot_is_read_again(folder: Path, store: SnapshotStore) -> None:
    (folder / "file").write_text("x")
    known = Known()
    taken(folder, store, known=known)

    assert len(known) == 0


def test_a_known_file_whose_content_is_gone_is_read_again(
    folder: Path, store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("x")
    known = Known()
    monkeypatch.setattr("sandbox.workspaces.snapshots.taking._TOO_FRESH_NS", -(10**12))
    first = taken(folder, store, known=known)
    for path in (store.folder / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()

    taken(folder, store, known=known)

    assert store.renew(first.digest) == first.tree


@pytest.mark.parametrize("point", ["snapshot.file_read", "snapshot.before_flush"])
def test_dying_before_anything_is_flushed_leaves_no_snapshot(
    folder: Path, store: SnapshotStore, point: str
) -> None:
    fill(folder)

    def die() -> None:
        raise KeyboardInterrupt

    with pausepoints.at(point, die), pytest.raises(KeyboardInterrupt):
        taken(folder, store)

    kept = [path for path in store.folder.rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["lock"]
