"""The sandbox worker mounts what it is told to as root, so only plain folders below one."""

import os
import stat
from pathlib import Path

import pytest

from sandbox.errors import SandboxUnavailableError, UnsafePathError
from sandbox.leases import FIRST_UID
from sandbox.worker.folders import accepted, refuse_what_cannot_be_shared
from tests.privileges import needs_root


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


@needs_root
def test_what_is_inside_a_workspace_is_none(root: Path) -> None:
    (root / "acme" / "run" / "sub").mkdir()
    os.chown(root / "acme" / "run", FIRST_UID + 7, FIRST_UID + 7)

    with pytest.raises(UnsafePathError, match="inside another workspace"):
        accepted(root, str(root / "acme" / "run" / "sub"))
    assert accepted(root, str(root / "acme" / "run")) == root / "acme" / "run"


@pytest.mark.parametrize(
    ("own", "owner", "peer"), [(0, 0, 0), (0, 70, 0), (70, 70, 70), (70, 70, 0)]
)
def test_files_that_both_sides_can_reach_are_shared(
    root: Path, monkeypatch: pytest.MonkeyPatch, own: int, owner: int, peer: int
) -> None:
    refuse(root, monkeypatch, own=own, owner=owner, peer=peer)


def test_a_worker_that_is_root_opens_for_root_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SandboxUnavailableError, match="user 70, could not reach") as refused:
        refuse(root, monkeypatch, own=0, owner=70, peer=70)

    assert "Run the agent workers as root, or the sandbox worker as user 70" in refused.value.remedy


@pytest.mark.parametrize("owner", [0, 71])
def test_another_users_files_are_no_workspace_for_an_ordinary_user(
    root: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    with pytest.raises(SandboxUnavailableError, match=f"run is user {owner}'s and .* is user 70"):
        refuse(root, monkeypatch, own=70, owner=owner, peer=owner)


def refuse(root: Path, monkeypatch: pytest.MonkeyPatch, *, own: int, owner: int, peer: int) -> None:
    workspace = root / "acme" / "run"
    found = list(workspace.stat())
    found[stat.ST_UID] = owner
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda path: os.stat_result(found))
        patch.setattr(os, "geteuid", lambda: own)
        refuse_what_cannot_be_shared(workspace, peer=peer)
