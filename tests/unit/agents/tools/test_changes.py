"""A call killed at any point and repeated changes its files exactly once."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.tools import confine, points
from agents.tools.confine import digest_of, opened_workspace
from plugins.contracts import ToolResult
from plugins.errors import OutcomeUnknownError, ToolError

Call = Callable[..., ToolResult]


class KilledError(BaseException):
    """Stands for the death of the process: nothing in the tools may catch it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, point: str, occurrence: int = 1) -> list[str]:
    """Raise at the n-th passing of a point, once; the returned list says whether it happened."""
    killed: list[str] = []
    passed = 0

    def hook(name: str, detail: str) -> None:
        nonlocal passed
        if name == point and not killed:
            passed += 1
            if passed == occurrence:
                killed.append(detail)
                raise KilledError

    monkeypatch.setattr(points, "hook", hook)
    return killed


PATCH = """--- a/a.txt
+++ b/a.txt
@@ -1,2 +1,3 @@
 one
+one and a half
 two
--- a/gone.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
--- /dev/null
+++ b/new/made.txt
@@ -0,0 +1 @@
+hello
"""

BEFORE = {"a.txt": "one\ntwo\n", "gone.txt": "bye\n", "sub/b.txt": "two\n"}

# Tool, arguments, files afterwards. Each would differ if it were applied twice.
CALLS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "write": ({"path": "a.txt", "content": "x\n"}, {**BEFORE, "a.txt": "x\n"}),
    "edit": (
        {"path": "a.txt", "old_string": "one", "new_string": "one one one"},
        {**BEFORE, "a.txt": "one one one\ntwo\n"},
    ),
    "insert": (
        {"path": "a.txt", "insert_line": 1, "content": "new"},
        {**BEFORE, "a.txt": "one\nnew\ntwo\n"},
    ),
    "search_replace": (
        {"search": "two", "replace": "two two"},
        {**BEFORE, "a.txt": "one\ntwo two\n", "sub/b.txt": "two two\n"},
    ),
    "patch": (
        {"patch": PATCH},
        {"a.txt": "one\none and a half\ntwo\n", "new/made.txt": "hello\n", "sub/b.txt": "two\n"},
    ),
}
KILLS = [
    (tool, point, occurrence)
    for tool in CALLS
    for point in points.CHANGE_POINTS
    for occurrence in range(
        1, 1 + ({"search_replace": 2, "patch": 3}.get(tool, 1) if point == points.APPLIED else 1)
    )
]


def lay_out(folder: Path) -> None:
    for path, text in BEFORE.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".agentry" not in path.parts
    }


@pytest.mark.parametrize(("tool", "point", "occurrence"), KILLS)
def test_killed_call_repeated_with_its_key_is_applied_once(
    tool: str,
    point: str,
    occurrence: int,
    folder: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lay_out(folder)
    arguments, after = CALLS[tool]
    killed = kill_at(monkeypatch, point, occurrence)
    with pytest.raises(KilledError):
        call(tool, key="k", **arguments)
    assert len(killed) == 1
    repeated = call(tool, key="k", **arguments)
    assert files(folder) == after
    assert call(tool, key="k", **arguments) == repeated
    assert files(folder) == after
    assert not (folder / ".agentry/pending.json").exists()


@pytest.mark.parametrize("point", points.CHANGE_POINTS)
def test_killed_patch_is_completed_by_whatever_call_comes_next(
    point: str, folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder)
    kill_at(monkeypatch, point)
    with pytest.raises(KilledError):
        call("patch", key="k", patch=PATCH)
    call("insert", key="other", path="a.txt", insert_line=0, content="zero")
    after = CALLS["patch"][1]
    if point == points.STAGED:  # no intent yet: the patch has not happened
        assert files(folder) == {**BEFORE, "a.txt": "zero\none\ntwo\n"}
    else:
        assert files(folder) == {**after, "a.txt": "zero\none\none and a half\ntwo\n"}
    call("patch", key="k", patch=PATCH)
    assert files(folder) == {**after, "a.txt": "zero\none\none and a half\ntwo\n"}


def test_todo_added_in_a_killed_call_is_added_once(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count, point in enumerate(points.CHANGE_POINTS, start=1):
        kill_at(monkeypatch, point)
        items = [{"content": f"step {point}"}]
        with pytest.raises(KilledError):
            call("todo", key=point, action="add", items=items)
        call("todo", key=point, action="add", items=items)
        assert len(json.loads((folder / ".agentry/todo.json").read_text())) == count


def test_record_holds_the_digests_before_and_after(folder: Path, call: Call) -> None:
    lay_out(folder)
    call("edit", key="call-1", path="a.txt", old_string="one", new_string="1")
    record = json.loads((folder / ".agentry/calls/call-1.json").read_text())
    assert record["changes"] == [
        {
            "path": "a.txt",
            "before": digest_of(b"one\ntwo\n"),
            "after": digest_of(b"1\ntwo\n"),
        }
    ]
    assert (folder / ".agentry/calls/call-1.json").stat().st_mode & 0o777 == 0o600


def test_key_that_is_no_file_name_is_stored_by_its_digest(folder: Path, call: Call) -> None:
    key = "../../x/" + "y" * 300
    call("write", key=key, path="a", content="1")
    name = f"sha256-{digest_of(key.encode())}.json"
    assert [item.name for item in (folder / ".agentry/calls").iterdir()] == [name]


def test_key_used_with_other_arguments_is_refused(folder: Path, call: Call) -> None:
    call("write", key="k", path="a", content="1")
    with pytest.raises(ToolError, match="key was used before"):
        call("write", key="k", path="a", content="2")
    assert (folder / "a").read_text() == "1"


def test_other_key_applies_again(folder: Path, call: Call) -> None:
    lay_out(folder)
    for key in ("k1", "k2"):
        call("insert", key=key, path="a.txt", insert_line=0, content="x")
    assert (folder / "a.txt").read_text() == "x\nx\none\ntwo\n"


def test_file_changed_by_a_program_meanwhile_is_not_overwritten(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder)

    def hook(point: str, detail: str) -> None:
        if point == points.PLANNED:
            (folder / "a.txt").write_text("by a program")

    monkeypatch.setattr(points, "hook", hook)
    with pytest.raises(ToolError, match=r"Nothing was changed: a\.txt was changed by another"):
        call("edit", key="k", path="a.txt", old_string="one", new_string="1")
    assert (folder / "a.txt").read_text() == "by a program"
    monkeypatch.undo()
    (folder / "a.txt").write_text("one")
    call("edit", key="k", path="a.txt", old_string="one", new_string="1")
    assert (folder / "a.txt").read_text() == "1"


def test_patch_that_can_only_be_half_applied_is_in_doubt(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder)

    def hook(point: str, detail: str) -> None:
        if point == points.APPLIED and detail == "a.txt":
            (folder / "gone.txt").write_text("by a program")

    monkeypatch.setattr(points, "hook", hook)
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError, match="Only a part of the files was changed"):
            call("patch", key="k", patch=PATCH)
    assert files(folder) == {
        **BEFORE,
        "a.txt": "one\none and a half\ntwo\n",
        "gone.txt": "by a program",
    }
    call("write", path="free", content="the workspace is not blocked")


def test_parallel_edits_of_one_file_are_all_kept(folder: Path, call: Call) -> None:
    (folder / "f").write_text("".join(f"<{number}>\n" for number in range(8)))
    threads = [
        threading.Thread(
            target=call,
            args=("edit",),
            kwargs={"path": "f", "old_string": f"<{number}>", "new_string": f"done {number}"},
        )
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (folder / "f").read_text() == "".join(f"done {number}\n" for number in range(8))


def test_forged_records_do_not_block_the_tools(folder: Path, call: Call) -> None:
    (folder / ".agentry/calls").mkdir(parents=True)
    (folder / ".agentry/pending.json").write_text("not json")
    (folder / ".agentry/calls/k.json").write_text("{}")
    call("write", key="k", path="a", content="1")
    assert (folder / "a").read_text() == "1"


def test_forged_intent_cannot_reach_outside(folder: Path, call: Call) -> None:
    (folder / ".agentry/staged").mkdir(parents=True)
    (folder / ".agentry/staged/0").write_text("evil")
    intent = {
        "key": "x", "tool": "write", "arguments": "", "text": "", "metadata": {},
        "changes": [{"path": "../outside", "before": None, "after": "0"}],
    }  # fmt: skip
    (folder / ".agentry/pending.json").write_text(json.dumps(intent))
    call("write", path="a", content="1")
    assert sorted(item.name for item in folder.parent.iterdir()) == ["workspace"]
    assert files(folder) == {"a": "1"}


def test_linked_records_folder_is_refused(folder: Path, call: Call) -> None:
    (folder.parent / "outside").mkdir()
    (folder / ".agentry").symlink_to(folder.parent / "outside")
    with pytest.raises(ToolError, match="symbolic link"):
        call("write", path="a", content="1")
    assert list((folder.parent / "outside").iterdir()) == []
    assert not (folder / "a").exists()


KILLED_PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from agents.tools import points
from agents.tools.registry import BUILTIN_TOOLS
from core.ids import new_id
from plugins.contracts import ToolContext

def hook(point, detail):
    if point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

points.hook = hook
context = ToolContext(run_id=new_id(), workspace_id=new_id(), call_id=new_id(), attempt=1,
                      idempotency_key="k", workspace_path=Path(sys.argv[1]))
asyncio.run(BUILTIN_TOOLS["patch"].call({"patch": sys.argv[3]}, context))
"""


@pytest.mark.parametrize("point", points.CHANGE_POINTS)
def test_process_killed_for_real_leaves_no_lock_and_a_call_to_complete(
    point: str, folder: Path, call: Call
) -> None:
    lay_out(folder)
    root = Path(points.__file__).parents[2]
    died = subprocess.run(
        [sys.executable, "-c", KILLED_PROGRAM, str(folder), point, PATCH], cwd=root, check=False
    )
    assert died.returncode == -signal.SIGKILL
    call("patch", key="k", patch=PATCH)
    assert files(folder) == CALLS["patch"][1]


def test_call_shut_out_by_another_fails_and_by_its_own_attempt_is_in_doubt(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(folder)
    kill_at(monkeypatch, points.PLANNED)
    with pytest.raises(KilledError):
        call("write", key="k", path="a.txt", content="x")
    monkeypatch.undo()
    with opened_workspace(folder) as holder, holder.exclusive():
        monkeypatch.setattr(confine, "LOCK_WAIT_SECONDS", 0.0)
        with pytest.raises(OutcomeUnknownError, match="may yet finish"):
            call("write", key="k", path="a.txt", content="x")
        with pytest.raises(ToolError, match="Another call is changing files"):
            call("write", key="other", path="a.txt", content="y")
    assert (folder / "a.txt").read_text() == BEFORE["a.txt"]


def test_change_of_very_many_files_with_long_paths_is_recorded_and_repeated(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder.joinpath(*(["d" * 200] * 15))
    deep.mkdir(parents=True)
    for number in range(500):
        (deep / f"{number}").write_text("x")
    kill_at(monkeypatch, points.APPLIED, 250)
    with pytest.raises(KilledError):
        call("search_replace", key="k", search="x", replace="xx")
    repeated = call("search_replace", key="k", search="x", replace="xx")
    assert repeated.metadata == {"replacements": 500}
    assert {path.read_text() for path in deep.iterdir()} == {"xx"}
