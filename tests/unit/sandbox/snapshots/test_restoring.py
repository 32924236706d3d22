"""Restoring a snapshot over whatever is there: to the bit, and never through a link."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from core import pausepoints
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots import (
    EMPTY,
    SnapshotStore,
    listing,
    restore_snapshot,
)
from tests.unit.sandbox.snapshots.kit import deep_tree, fill, names, taken


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
