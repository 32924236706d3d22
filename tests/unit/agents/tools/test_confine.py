"""No path leads out of the workspace."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.tools import confine, points
from agents.tools.confine import (
    MAX_FILE_BYTES,
    Workspace,
    opened_workspace,
    parse_path,
)
from plugins.contracts import ToolResult
from plugins.errors import ToolError

Call = Callable[..., ToolResult]

HOSTILE = {
    "/etc/passwd": "absolute",
    "//etc/passwd": "absolute",
    "../secret": "goes up",
    "a/../../secret": "goes up",
    "a/..": "goes up",
    "..": "goes up",
    "a\0b": "NUL",
    "a\nb": "control characters",
    "a\x7fb": "control characters",
    "\ud800": "control characters",
    "..\\secret": "backslash",
    "C:/secret": "absolute",
    "C:secret": "absolute",
    "~": "home folder",
    "~/secret": "home folder",
    "n" * 256: "longer than 255 bytes",
    "é" * 128: "longer than 255 bytes",
    "a/" * 2001: "longer than 4000 bytes",
    "a/" * 65: "more than 64 folders deep",
    ".agentry": "closed to file tools",
    ".agentry/calls/x.json": "closed to file tools",
    "./.agentry/todo.json": "closed to file tools",
    ".AGENTRY/todo.json": "closed to file tools",
    ".ａgentry/todo.json": "closed to file tools",
}


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_path_is_refused_with_a_sentence(path: str) -> None:
    with pytest.raises(ToolError) as refused:
        parse_path(path)
    assert HOSTILE[path] in str(refused.value)


def test_plain_paths_are_split_into_names() -> None:
    assert parse_path(".") == ()
    assert parse_path("./a//b/./c") == ("a", "b", "c")
    assert parse_path("-rf") == ("-rf",)
    assert parse_path("ü/日本.txt") == ("ü", "日本.txt")
    assert parse_path("~backup") == ("~backup",)
    assert parse_path("a/.agentry/x") == ("a", ".agentry", "x")


FILE_CALLS: dict[str, dict[str, Any]] = {
    "view": {},
    "write": {"content": "changed"},
    "edit": {"old_string": "secret", "new_string": "changed"},
    "insert": {"insert_line": 0, "content": "changed"},
    "search_replace": {"search": "secret", "replace": "changed"},
    "grep": {"pattern": "secret"},
}


@pytest.mark.parametrize("tool", FILE_CALLS)
@pytest.mark.parametrize(
    "path", ["../secret.txt", "/etc/passwd", ".agentry/x", "link", "out/secret.txt"]
)
def test_no_tool_reaches_outside(tool: str, path: str, folder: Path, call: Call) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text("secret")
    (folder / "link").symlink_to(secret)
    (folder / "out").symlink_to(folder.parent)
    with pytest.raises(ToolError):
        call(tool, path=path, **FILE_CALLS[tool])
    assert secret.read_text() == "secret"
    assert (folder / "link").is_symlink()


def test_patch_does_not_reach_outside(folder: Path, call: Call) -> None:
    (folder / "out").symlink_to(folder.parent)
    for path in ("../new", "/tmp/new", "out/new", ".agentry/new"):
        with pytest.raises(ToolError):
            call("patch", patch=f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n")
    assert sorted(item.name for item in folder.parent.iterdir()) == ["workspace"]


def test_link_inside_the_workspace_is_refused_too(folder: Path, call: Call) -> None:
    (folder / "real").write_text("x")
    (folder / "link").symlink_to("real")
    with pytest.raises(ToolError, match="link is a symbolic link; links are not followed"):
        call("view", path="link")


def test_listing_shows_a_link_and_does_not_follow_it(folder: Path, call: Call) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "out").symlink_to(folder.parent)
    assert call("ls", depth=8).text == "out  (symbolic link, cannot be opened)"
    assert call("glob", pattern="**/*.txt").metadata == {"count": 0}
    assert call("grep", pattern="secret").metadata == {"matches": 0, "files": 0}


def swap_for_link(folder: Path, at: str, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a link to the outside in the place of `name` when the pause point `at` is reached."""
    swapped: list[str] = []

    def hook(point: str, detail: str) -> None:
        if point == at and detail == name and not swapped:
            swapped.append(name)
            (folder / "a").rename(folder / "aside")
            (folder / "a").symlink_to(folder.parent / "outside")

    monkeypatch.setattr(points, "hook", hook)
    return swapped


def file_inside_and_outside(folder: Path) -> Path:
    """Write `a/f` in the workspace and an `f` beside it; return the folder of the latter."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (folder / "a").mkdir()
    (folder / "a" / "f").write_text("secret inside")
    return outside


@pytest.mark.parametrize("tool", FILE_CALLS)
def test_folder_swapped_for_a_link_just_before_it_is_opened_is_refused(
    tool: str, folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = file_inside_and_outside(folder)
    swapped = swap_for_link(folder, points.OPENING, "a", monkeypatch)
    with pytest.raises(ToolError, match="symbolic link"):
        call(tool, path="a/f", **FILE_CALLS[tool])
    assert swapped == ["a"]
    assert (outside / "f").read_text() == "secret"
    assert [item.name for item in outside.iterdir()] == ["f"]


def test_folder_swapped_after_it_was_opened_changes_nothing_outside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_inside_and_outside(folder)
    swapped = swap_for_link(folder, points.OPENED_PARENT, "f", monkeypatch)
    with opened_workspace(folder) as workspace:
        data, _ = workspace.read(("a", "f"))
    assert swapped == ["f"]
    assert data == b"secret inside"


def test_file_swapped_for_a_link_before_the_open_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "secret").write_text("secret")
    (folder / "f").write_text("inside")

    def hook(point: str, detail: str) -> None:
        if point == points.OPENED_PARENT:
            (folder / "f").unlink()
            (folder / "f").symlink_to(folder.parent / "secret")

    monkeypatch.setattr(points, "hook", hook)
    with opened_workspace(folder) as workspace, pytest.raises(ToolError, match="symbolic link"):
        workspace.read(("f",))


@pytest.mark.parametrize("tool", FILE_CALLS)
def test_fifo_does_not_hang(tool: str, folder: Path, call: Call) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(ToolError, match="pipe is a special file, not a file"):
        call(tool, path="pipe", **FILE_CALLS[tool]) if tool != "grep" else _view(folder)


def _view(folder: Path) -> None:
    with opened_workspace(folder) as workspace:
        workspace.read(("pipe",))


def test_grep_and_search_replace_pass_over_special_files(folder: Path, call: Call) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "f").write_text("word")
    assert call("grep", pattern="word").text == "f:1:word"
    assert call("search_replace", search="word", replace="w").metadata == {"replacements": 1}


def test_socket_is_refused(folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # socket paths are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(ToolError, match="s is not a regular file"):
            call("view", path="s")


def test_size_is_measured_by_reading(folder: Path) -> None:
    (folder / "f").write_bytes(b"x" * 11)
    with opened_workspace(folder) as workspace:
        assert workspace.read(("f",), max_bytes=11)[0] == b"x" * 11
        with pytest.raises(ToolError, match="larger than 10 bytes"):
            workspace.read(("f",), max_bytes=10)


def test_file_too_large_to_edit_is_refused_and_unchanged(folder: Path, call: Call) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for tool in ("edit", "insert"):
        with pytest.raises(ToolError, match="huge is larger than 8388608 bytes"):
            call(tool, path="huge", **FILE_CALLS[tool])
    assert (folder / "huge").stat().st_size == MAX_FILE_BYTES + 1


def test_folder_with_too_many_entries_is_refused(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (folder / name).touch()
    monkeypatch.setattr(confine, "MAX_FOLDER_ENTRIES", 2)
    with pytest.raises(ToolError, match="holds more than 2 entries"):
        call("ls")


def test_write_keeps_the_mode_and_leaves_no_temporary_file(folder: Path) -> None:
    (folder / "run").write_text("old")
    (folder / "run").chmod(0o750)
    with opened_workspace(folder) as workspace:
        workspace.put(("run",), b"new", mode=0o750)
        workspace.put(("d", "e", "f"), b"deep")
    assert (folder / "run").read_text() == "new"
    assert (folder / "run").stat().st_mode & 0o777 == 0o750
    assert (folder / "d/e/f").stat().st_mode & 0o777 == 0o644
    assert sorted(item.name for item in folder.iterdir()) == ["d", "run"]


def test_missing_workspace_is_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(ToolError, match="workspace folder cannot be opened"),
        opened_workspace(tmp_path / "nowhere"),
    ):
        pytest.fail("opened")


def test_descriptors_are_closed_whatever_happens(folder: Path, call: Call) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "f").write_text("x")
    (folder / "link").symlink_to("a")

    def work() -> None:
        call("view", path="a/f")
        call("write", path="b/c", content="x")
        call("ls", depth=8)
        for path in ("link/f", "a", "no/such"):
            with pytest.raises(ToolError):
                call("view", path=path)

    work()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        work()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_lock_keeps_a_second_call_out_and_gives_up_in_time(folder: Path) -> None:
    with opened_workspace(folder) as first, first.exclusive():
        outcome: list[str] = []

        def second() -> None:
            with opened_workspace(folder) as workspace:
                outcome.append(_try_lock(workspace))

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert outcome == ["locked out"]
    with opened_workspace(folder) as workspace:
        assert _try_lock(workspace) == "locked"


def _try_lock(workspace: Workspace) -> str:
    try:
        with workspace.exclusive(wait_seconds=0):
            return "locked"
    except TimeoutError:
        return "locked out"
