"""Reading out of a workspace and deleting it, whatever the work has left there."""

import os
from pathlib import Path

import pytest

from core.errors import LimitExceededError, NotFoundError
from sandbox.errors import UnsafePathError
from sandbox.workspaces import delete_workspace, safe_read


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(b"content")
    (tmp_path / "secret").write_text("secret")
    return folder


def test_a_plain_file_is_read(workspace: Path) -> None:
    assert safe_read(workspace, "deep/file", max_bytes=7) == b"content"
    assert safe_read(workspace, "deep/../deep/./file", max_bytes=7) == b"content"


def test_a_large_file_is_refused(workspace: Path) -> None:
    with pytest.raises(LimitExceededError):
        safe_read(workspace, "deep/file", max_bytes=6)


@pytest.mark.parametrize("name", ["absent", "deep/file/more", "deep/absent"])
def test_what_is_not_there_is_not_found(workspace: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        safe_read(workspace, name, max_bytes=10)


@pytest.mark.parametrize(
    "name",
    ["link", "folder_link/secret", "inner_link", "../secret", "/etc/passwd", "pipe", "deep",
     "a\0b", "loop", "magic"],
)  # fmt: skip
def test_everything_else_is_unsafe(workspace: Path, name: str) -> None:
    (workspace / "link").symlink_to(workspace.parent / "secret")
    (workspace / "folder_link").symlink_to(workspace.parent)
    (workspace / "inner_link").symlink_to("deep/file")
    (workspace / "loop").symlink_to("loop")
    (workspace / "magic").symlink_to("/proc/self/fd/0")
    os.mkfifo(workspace / "pipe")

    with pytest.raises(UnsafePathError):
        safe_read(workspace, name, max_bytes=100)


def test_a_tree_too_deep_for_python_is_deleted(workspace: Path) -> None:
    here = os.open(workspace, os.O_RDONLY)
    for _ in range(6000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    delete_workspace(workspace)

    assert not workspace.exists()


def test_deleting_follows_no_link_and_misses_no_name(workspace: Path) -> None:
    (workspace / "link").symlink_to(workspace.parent)
    for name in (b"-rf", b"\xff", b"a\nb", b"--"):
        (workspace / os.fsdecode(name)).write_text("x")

    delete_workspace(workspace)
    delete_workspace(workspace)

    assert not workspace.exists()
    assert (workspace.parent / "secret").read_text() == "secret"


def test_a_link_is_no_workspace(workspace: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(workspace)

    with pytest.raises(UnsafePathError):
        delete_workspace(link)
    assert (workspace / "deep" / "file").exists()
