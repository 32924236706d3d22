"""A workspace and a store of snapshots."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.workspaces import delete_workspace
from sandbox.workspaces.snapshots import SnapshotStore


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "workspace"
    made.mkdir()
    yield made
    delete_workspace(made)  # pytest's own cleaning gives up on deep trees


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots")
