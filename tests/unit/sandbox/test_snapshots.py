"""Snapshots of workspaces, whatever is in them: kept by digest, restored to the bit."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from core import pausepoints
from sandbox.errors import SnapshotGoneError, UnsafePathError, WorkspaceTooLargeError
from sandbox.workspaces import delete_workspace
from sandbox.workspaces.snapshots import (
    EMPTY,
    Bounds,
    Kind,
    Known,
    Snapshot,
    SnapshotStore,
    difference,
    listing,
    restore_snapshot,
    take_snapshot,
)
from sandbox.workspaces.snapshots.trees import decoded

PLENTY = Bounds(size_bytes=64 * 1024 * 1024, entries=20_000)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "workspace"
    made.mkdir()
    yield made
    delete_workspace(made)  # pytest's own cleaning gives up on deep trees


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots")


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


def test_a_tree_is_restored_over_another_one(folder: Path, store: SnapshotStore) -> None:
    fill(folder)
    first = taken(folder, store)
    (folder / "src" / "main.py").write_bytes(b"print(2)\n")
    (folder / "run.sh").chmod(0o600)
    (folder / "outside").unlink()
    (folder / "outside").mkdir()
    (folder / "outside" / "more").write_text("x")
    (folder / "nothing").rmdir()
    (folder / "nothing").symlink_to("/etc")
    (folder / "src" / "deep" / "new").write_text("y")
    deep_tree(folder / "src", 50)

    restore_snapshot(folder, store, first.digest)

    assert taken(folder, store).digest == first.digest
    assert (folder / "src" / "main.py").read_bytes() == b"print(1)\n"
    assert stat.S_IMODE((folder / "run.sh").stat().st_mode) == 0o755


def test_what_is_right_already_is_left_alone(folder: Path, store: SnapshotStore) -> None:
    fill(folder)
    first = taken(folder, store)
    inode = (folder / "run.sh").stat().st_ino

    restore_snapshot(folder, store, first.digest)

    assert (folder / "run.sh").stat().st_ino == inode


def test_a_link_in_the_way_is_replaced_and_not_followed(folder: Path, store: SnapshotStore) -> None:
    (folder / "file").write_text("inside")
    (folder / "folder").mkdir()
    (folder / "folder" / "deeper").write_text("inside")
    first = taken(folder, store)
    outside = folder.parent / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_text("the host's")
    (folder / "file").unlink()
    (folder / "file").symlink_to(outside / "file")
    (folder / "folder" / "deeper").unlink()
    (folder / "folder").rmdir()
    (folder / "folder").symlink_to(outside / "folder")

    restore_snapshot(folder, store, first.digest)

    assert (outside / "file").read_text() == "the host's"
    assert list((outside / "folder").iterdir()) == []
    assert (folder / "file").read_text() == "inside"
    assert not (folder / "folder").is_symlink()


def test_a_tree_thousands_of_folders_deep_is_kept_and_restored(
    folder: Path, store: SnapshotStore
) -> None:
    deep_tree(folder, 2000)  # twice what recursion or descriptors would allow
    first = taken(folder, store)
    assert len(first.tree.entries) == 2001
    assert max(len(item.path) for item in listing(first.tree)) <= 4096

    restore_snapshot(folder, store, EMPTY.digest)
    assert list(folder.iterdir()) == []
    restore_snapshot(folder, store, first.digest)

    assert taken(folder, store).digest == first.digest


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


def test_names_that_are_no_text_are_kept_and_shown_escaped(
    folder: Path, store: SnapshotStore
) -> None:
    odd = os.fsencode(folder) + b"/\xff\xfe\x1b[31m\n"
    with open(odd, "wb") as file:  # noqa: PTH123  # pathlib takes no bytes
        file.write(b"odd")
    first = taken(folder, store)

    restore_snapshot(folder, store, EMPTY.digest)
    restore_snapshot(folder, store, first.digest)

    assert names(first) == ["\\xff\\xfe\\x1b[31m\\n"]
    assert [os.fsencode(path.name) for path in folder.iterdir()] == [b"\xff\xfe\x1b[31m\n"]


def test_names_of_one_inode_become_files_of_their_own(folder: Path, store: SnapshotStore) -> None:
    (folder / "one").write_text("same")
    os.link(folder / "one", folder / "two")
    first = taken(folder, store)

    restore_snapshot(folder, store, first.digest)

    assert taken(folder, store).digest == first.digest
    assert (folder / "one").stat().st_ino != (folder / "two").stat().st_ino


def test_set_user_id_bits_are_not_kept(folder: Path, store: SnapshotStore) -> None:
    (folder / "tool").write_text("x")
    (folder / "tool").chmod(0o4755)
    first = taken(folder, store)

    restore_snapshot(folder, store, first.digest)

    assert stat.S_IMODE((folder / "tool").stat().st_mode) == 0o755


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


def test_ignored_paths_are_not_looked_at_and_untouched_ones_stay(
    folder: Path, store: SnapshotStore
) -> None:
    (folder / "own" / "records").mkdir(parents=True)
    (folder / "own" / "records" / "1").write_text("x")
    (folder / "own" / "lock").write_text("")
    (folder / "own" / "list").write_text("y")
    lock = (b"own", b"lock")
    snapshot = taken(folder, store, ignored=frozenset({lock, (b"own", b"records")}))
    inode = (folder / "own" / "lock").stat().st_ino

    assert names(snapshot) == ["own", "own/list"]
    restore_snapshot(folder, store, EMPTY.digest, untouched=frozenset({lock}))
    assert (folder / "own" / "lock").stat().st_ino == inode
    restore_snapshot(folder, store, snapshot.digest, untouched=frozenset({lock}))
    assert sorted(path.name for path in (folder / "own").iterdir()) == ["list", "lock"]
    assert (folder / "own" / "lock").stat().st_ino == inode


def test_new_files_belong_to_the_owner_of_the_folder(folder: Path, store: SnapshotStore) -> None:
    if os.geteuid() != 0:
        assert folder.stat().st_uid == os.geteuid()  # nothing can be given away
        return
    fill(folder)
    first = taken(folder, store)
    restore_snapshot(folder, store, EMPTY.digest)
    os.chown(folder, 4711, 4711)

    restore_snapshot(folder, store, first.digest)

    assert {path.lstat().st_uid for path in folder.rglob("*")} == {4711}


def test_a_snapshot_that_is_gone_changes_nothing(folder: Path, store: SnapshotStore) -> None:
    fill(folder)
    first = taken(folder, store)
    (folder / "src" / "main.py").write_bytes(b"print(2)\n")
    second = taken(folder, store)
    store.blob_path(next(iter(first.tree.blobs - second.tree.blobs))).unlink()

    with pytest.raises(SnapshotGoneError):
        restore_snapshot(folder, store, first.digest)
    with pytest.raises(SnapshotGoneError):
        restore_snapshot(folder, store, "0" * 64)
    with pytest.raises(SnapshotGoneError):
        restore_snapshot(folder, store, "../../etc/passwd")

    assert taken(folder, store).digest == second.digest


def test_damage_on_disk_is_noticed(folder: Path, store: SnapshotStore) -> None:
    (folder / "file").write_text("right")
    first = taken(folder, store)
    store.blob_path(next(iter(first.tree.blobs))).write_text("wrong")
    (folder / "file").write_text("other")

    with pytest.raises(SnapshotGoneError, match="damaged"):
        restore_snapshot(folder, store, first.digest)
    assert [path.name for path in folder.iterdir()] == ["file"]

    store.tree_path(first.digest).write_bytes(b"agentry-tree-1\n\x90")
    with pytest.raises(SnapshotGoneError, match="damaged"):
        store.tree(first.digest)


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


def test_dying_in_the_middle_of_restoring_is_made_right_by_doing_it_again(
    folder: Path, store: SnapshotStore
) -> None:
    fill(folder)
    first = taken(folder, store)
    restore_snapshot(folder, store, EMPTY.digest)

    for visit in range(1, len(first.tree.entries) + 1):
        left = visit

        def die() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

        with pausepoints.at("restore.entry", die), suppress(KeyboardInterrupt):
            restore_snapshot(folder, store, first.digest)
        assert taken(folder, store).digest != first.digest or visit == len(first.tree.entries)

    restore_snapshot(folder, store, first.digest)
    assert taken(folder, store).digest == first.digest


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
