"""The sandbox worker mounts what it is told to as root, so only plain folders below one."""

import os
from pathlib import Path

import pytest

from sandbox.errors import UnsafePathError
from sandbox.leases import FIRST_UID
from sandbox.worker.folders import accepted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspaces"
    (folder / "acme" / "run").mkdir(parents=True)
    return folder


def test_a_folder_below_is_taken(root: Path) -> None:
    assert accepted(root, str(root / "acme" / "run")) == root / "acme" / "run"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("/etc", "not below"),
        ("", "not absolute"),
        ("acme/run", "not absolute"),
        ("{root}", "folder of all workspaces"),
        ("{root}/acme/../../other", "not absolute and plain"),
        ("{root}/acme/none", "No such file"),
        ("{root}/acme/run\0", "not absolute and plain"),
        ("{root}-beside/run", "not below"),
    ],
)
def test_anything_else_is_refused(root: Path, asked: str, reason: str) -> None:
    with pytest.raises(UnsafePathError, match=reason):
        accepted(root, asked.replace("{root}", str(root)))


@pytest.mark.parametrize("place", ["acme/run/link", "link/run"])
def test_no_link_is_followed(root: Path, place: str) -> None:
    outside = root.parent / "outside"
    (outside / "run").mkdir(parents=True)
    (root / place.partition("link")[0] / "link").symlink_to(outside)

    with pytest.raises(UnsafePathError, match="link is a link"):
        accepted(root, str(root / place))


def test_a_file_is_no_workspace(root: Path) -> None:
    (root / "acme" / "file").touch()

    with pytest.raises(UnsafePathError, match="file is no folder"):
        accepted(root, str(root / "acme" / "file"))


def test_what_is_inside_a_workspace_is_none(root: Path) -> None:
    (root / "acme" / "run" / "sub").mkdir()
    os.chown(root / "acme" / "run", FIRST_UID + 7, FIRST_UID + 7)

    with pytest.raises(UnsafePathError, match="inside another workspace"):
        accepted(root, str(root / "acme" / "run" / "sub"))
    assert accepted(root, str(root / "acme" / "run")) == root / "acme" / "run"
