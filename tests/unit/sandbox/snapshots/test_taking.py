"""What is in a snapshot and what is not: kept by digest, within a quota."""

import os
import socket
from pathlib import Path

import pytest

from sandbox.errors import UnsafePathError, WorkspaceTooLargeError
from sandbox.workspaces.snapshots import (
    EMPTY,
    Bounds,
    Kind,
    SnapshotStore,
    difference,
    listing,
)
from sandbox.workspaces.snapshots.trees import decoded
from tests.unit.sandbox.snapshots.kit import fill, names, taken


def test_an_empty_folder_has_the_digest_of_nothing(folder: Path, store: SnapshotStore) -> None:
    assert taken(folder, store).digest == EMPTY.digest


def test_everything_is_listed_in_the_order_of_names(folder: Path, store: SnapshotStore) -> None:
    fill(folder)

    snapshot = taken(folder, store)

    assert [(item.path, item.entry.kind, item.entry.mode) for item in listing(snapshot.tree)] == [
        ("nothing", Kind.FOLDER, 0o755),
        ("outside", Kind.LINK, 0o777),
        ("run.sh", Kind.FILE, 0o755),
        ("src", Kind.FOLDER, 0o755),
        ("src/deep", Kind.FOLDER, 0o755),
        ("src/deep/empty", Kind.FILE, 0o644),
        ("src/main.py", Kind.FILE, 0o644),
    ]
    assert snapshot.tree.size_bytes == len("print(1)\n") + len("#!/bin/sh\n") + len("/etc/passwd")


def test_a_link_is_kept_as_a_link_and_never_followed(folder: Path, store: SnapshotStore) -> None:
    (folder.parent / "secret").write_text("a secret of the host")
    (folder / "link").symlink_to("../secret")
    (folder / "folder_link").symlink_to("..")

    snapshot = taken(folder, store)

    assert names(snapshot) == ["folder_link", "link"]
    assert not any((store.folder / "blobs").rglob("*"))


def test_a_second_snapshot_of_the_same_has_the_same_digest_and_adds_nothing(
    folder: Path, store: SnapshotStore
) -> None:
    fill(folder)
    first = taken(folder, store)
    before = sorted(store.folder.rglob("*"))

    assert taken(folder, store).digest == first.digest
    assert sorted(store.folder.rglob("*")) == before


def test_special_files_are_named_as_skipped(folder: Path, store: SnapshotStore) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)
        try:
            listener.bind("door")
        finally:
            os.chdir(here)
    (folder / "plain").write_text("x")

    snapshot = taken(folder, store)

    assert names(snapshot) == ["plain"]
    assert sorted((item.name, item.reason) for item in snapshot.skipped) == [
        ("door", "is a socket"),
        ("pipe", "is a FIFO"),
    ]


def test_a_sparse_file_of_terabytes_is_over_quota_and_not_read(
    folder: Path, store: SnapshotStore
) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(4 * 1024**4)

    with pytest.raises(WorkspaceTooLargeError, match="sparse"):
        taken(folder, store)
    assert list((store.folder / "new").iterdir()) == []


def test_too_many_names_are_over_quota(folder: Path, store: SnapshotStore) -> None:
    for number in range(6):
        (folder / str(number)).write_text("x")

    with pytest.raises(WorkspaceTooLargeError, match="more than 5 files"):
        taken(folder, store, bounds=Bounds(size_bytes=100, entries=5))


def test_all_contents_together_count(folder: Path, store: SnapshotStore) -> None:
    for number in range(3):
        (folder / str(number)).write_bytes(b"x" * 40)

    with pytest.raises(WorkspaceTooLargeError):
        taken(folder, store, bounds=Bounds(size_bytes=119, entries=5))
    assert taken(folder, store, bounds=Bounds(size_bytes=120, entries=5)).tree.size_bytes == 120


def test_a_link_is_no_workspace(folder: Path, store: SnapshotStore) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)

    with pytest.raises(UnsafePathError):
        taken(link, store)


def test_the_difference_names_what_was_added_changed_and_removed(
    folder: Path, store: SnapshotStore
) -> None:
    fill(folder)
    before = taken(folder, store)
    (folder / "src" / "main.py").write_text("more")
    (folder / "src" / "new").mkdir()
    (folder / "src" / "new" / "file").write_text("x")
    (folder / "nothing").chmod(0o700)
    (folder / "src" / "deep" / "empty").unlink()
    (folder / "src" / "deep").rmdir()
    (folder / "outside").unlink()
    (folder / "outside").write_text("now a file")

    found = difference(before.tree, taken(folder, store).tree)

    assert found.added == ("src/new", "src/new/file")
    assert found.changed == ("nothing", "outside", "src/main.py")
    assert found.removed == ("src/deep", "src/deep/empty")


@pytest.mark.parametrize(
    "data",
    [b"", b"agentry-tree-1\n\x91\x95\x00\xc4\x02..\xa6folder\xcd\x01\xed\x00",
     b"agentry-tree-1\n\x91\x94\x00\xc4\x03a/b\xa6folder\x00",
     b"agentry-tree-1\n\x91\x94\x01\xc4\x01a\xa6folder\x00"],
)  # fmt: skip
def test_a_list_with_names_that_lead_elsewhere_is_none(store: SnapshotStore, data: bytes) -> None:
    with pytest.raises(UnsafePathError):
        decoded(data)
