"""The store of snapshots: collecting garbage beside its users, and dying at any place."""

import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from core import pausepoints
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots import (
    EMPTY,
    Bounds,
    SnapshotStore,
    collect,
    collecting,
    restore_snapshot,
    take_snapshot,
)
from tests.unit.sandbox.snapshots.kit import HOUR, age

PLENTY = Bounds(size_bytes=1024 * 1024, entries=1000)


def kept(folder: Path, store: SnapshotStore, **files: str) -> str:
    """Put files into the folder and return the digest of its snapshot."""
    for name, content in files.items():
        (folder / name).write_text(content)
    return take_snapshot(folder, store, bounds=PLENTY).digest


def files(store: SnapshotStore) -> int:
    return sum(path.is_file() for path in store.folder.rglob("*")) - 1  # but the lock


def dies(work: Callable[[], object], point: str, visit: int = 1) -> bool:
    """Run `work` in a process that kills itself at a pause point; say whether it got there."""
    child = os.fork()
    if child == 0:
        os.environ["AGENTRY_PAUSE_AT"] = f"{point}:kill:{visit}"
        try:
            pausepoints.install_from_environment()
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def test_what_is_named_stays_and_the_rest_goes(folder: Path, store: SnapshotStore) -> None:
    first = kept(folder, store, a="1", b="same")
    second = kept(folder, store, a="2")
    age(store)

    result = collect(store, named=[second], older_than_seconds=HOUR)

    assert (result.trees, result.blobs, result.size_bytes > 0) == (1, 1, True)
    assert store.renew(second).digest == second
    with pytest.raises(SnapshotGoneError):
        store.renew(first)
    assert files(store) == 3


def test_what_is_young_stays(folder: Path, store: SnapshotStore) -> None:
    kept(folder, store, a="1")

    assert collect(store, named=[], older_than_seconds=HOUR).trees == 0
    assert files(store) == 2


def test_a_snapshot_of_the_same_again_makes_everything_young(
    folder: Path, store: SnapshotStore
) -> None:
    digest = kept(folder, store, a="1")
    age(store)
    kept(folder, store)

    collect(store, named=[], older_than_seconds=HOUR)

    assert store.renew(digest).digest == digest


def test_what_is_needed_again_while_it_is_being_collected_stays(
    folder: Path, store: SnapshotStore
) -> None:
    digest = kept(folder, store, a="1")
    age(store)

    def renew() -> None:
        for kind in ("trees", "blobs"):
            for path in (store.folder / kind).glob("*/*"):
                os.utime(path)

    with pausepoints.at("collect.before_delete", renew):
        result = collect(store, named=[], older_than_seconds=HOUR)

    assert (result.trees, result.blobs) == (0, 0)
    assert store.renew(digest).digest == digest


def test_nothing_is_deleted_while_a_snapshot_is_being_added(
    folder: Path, store: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = kept(folder, store, a="1")
    age(store)
    monkeypatch.setattr(collecting, "_PATIENCE_SECONDS", 0.0)

    with store.adding():
        result = collect(store, named=[], older_than_seconds=HOUR)

    assert not result.is_complete
    assert store.renew(digest).digest == digest


def test_what_is_named_and_not_there_is_told(folder: Path, store: SnapshotStore) -> None:
    digest = kept(folder, store, a="1")
    age(store)

    result = collect(store, named=[digest, "f" * 64, EMPTY.digest], older_than_seconds=HOUR)

    assert result.gone == ("f" * 64,)
    assert result.trees == 0


def test_a_store_that_was_never_used_has_nothing_to_collect(store: SnapshotStore) -> None:
    assert collect(store, named=[], older_than_seconds=HOUR).is_complete
    assert not store.folder.exists()
    assert store.renew(EMPTY.digest) == EMPTY


@pytest.mark.parametrize("point", ["snapshot.file_read", "snapshot.before_flush"])
def test_killed_before_the_flush_leaves_only_what_is_collected(
    folder: Path, store: SnapshotStore, point: str
) -> None:
    (folder / "a").write_bytes(b"x" * 3_000_000)
    bounds = Bounds(size_bytes=10_000_000, entries=10)

    assert dies(lambda: take_snapshot(folder, store, bounds=bounds), point)

    assert [path.parent.name for path in store.folder.rglob("*") if path.is_file()] == [
        "snapshots", "new",
    ]  # fmt: skip
    age(store)
    collect(store, named=[], older_than_seconds=HOUR)
    assert files(store) == 0
    digest = take_snapshot(folder, store, bounds=bounds).digest
    assert store.renew(digest).size_bytes == 3_000_000


@pytest.mark.parametrize("point", ["snapshot.before_tree", "snapshot.after_tree"])
def test_killed_later_leaves_whole_contents_that_the_next_snapshot_uses(
    folder: Path, store: SnapshotStore, point: str
) -> None:
    (folder / "a").write_text("1")
    (folder / "b").write_text("2")

    assert dies(lambda: take_snapshot(folder, store, bounds=PLENTY), point)

    assert sum(path.is_file() for path in (store.folder / "blobs").rglob("*")) == 2
    digest = kept(folder, store)
    restore_snapshot(folder, store, EMPTY.digest)
    restore_snapshot(folder, store, digest)
    assert ((folder / "a").read_text(), (folder / "b").read_text()) == ("1", "2")


@pytest.mark.parametrize("visit", [1, 2, 3])
def test_killed_while_restoring_is_made_right_by_the_next_one(
    folder: Path, store: SnapshotStore, visit: int
) -> None:
    digest = kept(folder, store, a="1", b="2", c="3")
    kept(folder, store, a="x", b="y", d="z")

    assert dies(lambda: restore_snapshot(folder, store, digest), "restore.entry", visit)
    restore_snapshot(folder, store, digest)

    assert kept(folder, store) == digest


def test_the_lock_of_a_dead_process_is_free(folder: Path, store: SnapshotStore) -> None:
    (folder / "a").write_text("1")
    assert dies(lambda: take_snapshot(folder, store, bounds=PLENTY), "snapshot.before_flush")

    with store.locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
        pass


def test_many_files_are_flushed_with_their_file_system(folder: Path, store: SnapshotStore) -> None:
    digest = kept(folder, store, **{f"file{number}": str(number) for number in range(100)})

    assert len(store.renew(digest).blobs) == 100
