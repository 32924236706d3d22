"""Whatever a program could leave in a workspace: restored over anything else, it is the same."""

import os
import stat
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.workspaces.snapshots import Bounds, SnapshotStore, restore_snapshot, take_snapshot

PLENTY = Bounds(size_bytes=1024 * 1024, entries=1000)

# Any tree a program could leave: names of bytes, links to anywhere, any permissions.
_NAMES = st.binary(min_size=1, max_size=8).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
) | st.sampled_from([c.encode() for c in string.ascii_letters])
_MODES = st.integers(0, 0o777)
_TARGETS = st.binary(min_size=1, max_size=30).filter(lambda target: b"\0" not in target)
_LEAVES = (
    st.tuples(st.just("file"), st.binary(max_size=64), _MODES)
    | st.tuples(st.just("link"), _TARGETS)
    | st.tuples(st.just("fifo"))
)  # fmt: skip
_TREES = st.recursive(
    st.dictionaries(_NAMES, _LEAVES, max_size=4),
    lambda inner: st.dictionaries(
        _NAMES, _LEAVES | st.tuples(st.just("folder"), inner, _MODES), max_size=4
    ),
    max_leaves=15,
)


def build(folder: bytes, content: dict[bytes, Any]) -> None:
    for name, what in content.items():
        path = folder + b"/" + name
        match what[0]:
            case "file":
                with open(path, "wb") as file:  # noqa: PTH123  # pathlib takes no bytes
                    file.write(what[1])
                os.chmod(path, what[2] | (0 if os.geteuid() == 0 else 0o400))  # noqa: PTH101
            case "link":
                os.symlink(what[1], path)  # noqa: PTH211
            case "fifo":
                os.mkfifo(path)
            case "folder":
                os.mkdir(path)  # noqa: PTH102
                build(path, what[1])
                os.chmod(path, what[2] | (0 if os.geteuid() == 0 else 0o700))  # noqa: PTH101


def seen(folder: bytes) -> dict[bytes, Any]:
    """Everything that is kept of a folder, read without our own code."""
    found: dict[bytes, Any] = {}
    for entry in os.scandir(folder):
        status = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if entry.is_symlink():
            found[entry.name] = os.readlink(entry.path)  # noqa: PTH115
        elif entry.is_dir():
            found[entry.name] = (mode, seen(entry.path))
        elif entry.is_file():
            with open(entry.path, "rb") as file:  # noqa: PTH123
                found[entry.name] = (mode, file.read())
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=_TREES, after=_TREES)
def test_restoring_over_anything_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, before: dict[bytes, Any], after: dict[bytes, Any]
) -> None:
    home = tmp_path_factory.mktemp("any")
    store = SnapshotStore(home / "snapshots")
    first, second = home / "first", home / "second"
    for place, content in ((first, before), (second, after)):
        place.mkdir()
        build(os.fsencode(place), content)
    snapshot = take_snapshot(first, store, bounds=PLENTY)

    restore_snapshot(second, store, snapshot.digest)

    assert seen(os.fsencode(second)) == seen(os.fsencode(first))
    assert take_snapshot(second, store, bounds=PLENTY).digest == snapshot.digest
    assert store.tree(snapshot.digest) == snapshot.tree
