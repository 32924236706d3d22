"""Collecting garbage: what no checkpoint names and nobody has touched for long is deleted.

Safe beside snapshots that are being taken: adding or renewing sets a time under the shared lock,
deleting looks at it again under the exclusive one. Whoever was there first, nothing young goes.
"""

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from core.pausepoints import reach
from sandbox.errors import SnapshotGoneError
from sandbox.workspaces.snapshots.store import SnapshotStore

_AT_ONCE = 256
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.05


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What was deleted. `is_complete` is False where snapshots left no room for it."""

    trees: int = 0
    blobs: int = 0
    size_bytes: int = 0
    kept_bytes: int = 0
    is_complete: bool = True
    gone: tuple[str, ...] = ()  # trees that are named and are not there or damaged


def collect(
    store: SnapshotStore,
    *,
    named: Iterable[str],
    older_than_seconds: float,
    is_over: Callable[[], bool] = lambda: False,
) -> Collected:
    """Delete the trees that are not `named` and the contents of no tree, when they are old.

    Blocking. `named` is read from the database before this is called; what is named afterwards was
    added or renewed less than `older_than_seconds` before. `is_over` is asked between portions.
    """
    if not store.folder.is_dir():
        return Collected()
    before = time.time() - older_than_seconds
    wanted_trees: set[str] = set()
    wanted_blobs: set[str] = set()
    gone: list[str] = []
    for digest in sorted(set(named)):
        try:
            wanted_blobs |= store.tree(digest).blobs
        except SnapshotGoneError:
            gone.append(digest)
        else:
            wanted_trees.add(digest)
    result = _Result()

    def delete(paths: Iterator[Path], counted: _Result) -> bool:
        return _delete(store, paths, before, counted, is_over)

    is_complete = (
        delete(_unwanted(store, "trees", wanted_trees, before, _Result()), result)
        and delete(_unwanted(store, "blobs", wanted_blobs, before, result), result)
        and delete(_passing(store, before), _Result())
    )
    return Collected(
        trees=result.trees,
        blobs=result.blobs,
        size_bytes=result.size_bytes,
        kept_bytes=result.kept_bytes,
        is_complete=is_complete,
        gone=tuple(gone),
    )


class _Result:
    def __init__(self) -> None:
        self.trees = 0
        self.blobs = 0
        self.size_bytes = 0
        self.kept_bytes = 0


def _unwanted(
    store: SnapshotStore, kind: str, wanted: set[str], before: float, result: _Result
) -> Iterator[Path]:
    home = store.folder / kind
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        for path in sorted(folder.iterdir()):
            status = path.stat()
            if folder.name + path.name in wanted or status.st_mtime >= before:
                result.kept_bytes += status.st_size
            else:
                yield path


def _passing(store: SnapshotStore, before: float) -> Iterator[Path]:
    """What a process that died was about to add."""
    home = store.folder / "new"
    for path in home.iterdir() if home.is_dir() else ():
        if path.stat().st_mtime < before:
            yield path


def _delete(
    store: SnapshotStore,
    paths: Iterator[Path],
    before: float,
    result: _Result,
    is_over: Callable[[], bool],
) -> bool:
    """Delete in small portions, so that snapshots wait for milliseconds; False: no room."""
    waiting = list(paths)
    for start in range(0, len(waiting), _AT_ONCE):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            if is_over():
                return False
            try:
                with store.locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                    _delete_now(waiting[start : start + _AT_ONCE], before, result)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_PAUSE_SECONDS)
    return True


def _delete_now(paths: list[Path], before: float, result: _Result) -> None:
    for path in paths:
        reach("collect.before_delete")
        try:
            status = path.stat()
            if status.st_mtime >= before:
                continue  # somebody needs it again
            path.unlink()
        except FileNotFoundError:
            continue  # another collector was here
        result.size_bytes += status.st_size
        if path.parent.parent.name == "trees":
            result.trees += 1
        else:
            result.blobs += 1
