"""Unified diffs: what applies, what is refused, and that refusing changes nothing."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.contracts import ToolResult
from plugins.errors import ToolError

Call = Callable[..., ToolResult]


def diff(*hunks: str, path: str = "f") -> str:
    return f"--- a/{path}\n+++ b/{path}\n" + "".join(hunks)


def test_change_create_and_delete_at_once(folder: Path, call: Call) -> None:
    (folder / "f").write_text("a\nb\nc\n")
    (folder / "old").write_text("x\ny")
    text = (
        "diff --git a/f b/f\nindex 1..2 100644\n"
        + diff("@@ -1,3 +1,3 @@ heading\n a\n-b\n+B\n c\n")
        + "diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n"
        + "@@ -1,2 +0,0 @@\n-x\n-y\n\\ No newline at end of file\n"
        + "diff --git a/d/run b/d/run\nnew file mode 100755\n--- /dev/null\n+++ b/d/run\n"
        + "@@ -0,0 +1,2 @@\n+#!/bin/sh\n+exit\n"
    )
    result = call("patch", patch=text)
    assert result.text == "changed f (1 hunks)\ndeleted old (1 hunks)\ncreated d/run (1 hunks)"
    assert (folder / "f").read_text() == "a\nB\nc\n"
    assert not (folder / "old").exists()
    assert (folder / "d/run").read_text() == "#!/bin/sh\nexit\n"
    assert (folder / "d/run").stat().st_mode & 0o777 == 0o755


def test_hunks_that_moved_are_found(folder: Path, call: Call) -> None:
    (folder / "f").write_text("new\n" * 30 + "".join(f"{n}\n" for n in range(20)))
    call("patch", patch=diff("@@ -2,2 +2,2 @@\n 1\n-2\n+two\n", "@@ -9,2 +9,3 @@\n 8\n+more\n 9\n"))
    lines = (folder / "f").read_text().split("\n")[30:]
    assert lines[:12] == ["0", "1", "two", "3", "4", "5", "6", "7", "8", "more", "9", "10"]


def test_nearest_match_counts(folder: Path, call: Call) -> None:
    (folder / "f").write_text("x\n1\n2\n3\n4\nx\n5\n")
    call("patch", patch=diff("@@ -5 +5 @@\n-x\n+y\n"))
    assert (folder / "f").read_text() == "x\n1\n2\n3\n4\ny\n5\n"


def test_one_misfit_rejects_everything_and_is_named(folder: Path, call: Call) -> None:
    (folder / "f").write_text("a\nb\n")
    (folder / "g").write_text("c\n")
    text = (
        diff("@@ -1,2 +1,2 @@\n a\n-b\n+B\n")
        + diff("@@ -1 +1 @@\n-c\n+C\n", "@@ -5 +5 @@\n-missing\n+x\n", path="g")
        + diff("@@ -1 +1 @@\n-a\n+b\n", path="absent")
    )
    with pytest.raises(ToolError) as refused:
        call("patch", patch=text)
    assert str(refused.value).split("\n")[1:] == [
        "g: hunk 2 does not apply: at line 2 it wants 'missing', the file ends",
        (
            "absent: absent does not exist in the workspace. Use ls or glob to see what there is. "
            "View these files and send the whole patch again."
        ),
    ]
    assert (folder / "f").read_text() == "a\nb\n"
    assert (folder / "g").read_text() == "c\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nothing", "holds no file"),
        ("@@ -1 +1 @@\n-a\n+b\n", "line 1: a hunk stands before"),
        ("--- a/f\n+++ b/f\n", "line 3: no hunk follows the header of f"),
        (diff("@@ wrong @@\n-a\n"), "line 3: a hunk must begin like"),
        (diff("@@ -1,2 +1 @@\n-a\n+b\n"), "line 6: hunk 1 ends before"),
        (diff("@@ -1 +1 @@\n-a\n+b\n+c\n"), "line 6: hunk 1 has more lines"),
        (diff("@@ -1 +1 @@\n-a\n-b\n+c\n"), "line 5: hunk 1 has more old lines"),
        (diff("@@ -1 +1,2 @@\n+a\n+b\n+c\n"), "line 6: hunk 1 has more new lines"),
        ("--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", "renamed from f to g"),
        ("--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-a\n+b\n", "both sides are /dev/null"),
        ("diff --git a/f b/g\nrename from f\nrename to g\n", "line 2: renames, copies"),
        ("new file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+x\n", "only regular files"),
        (diff("@@ -1 +1 @@\n-a\n+b\n") * 2, "f stands in the patch twice"),
        ("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n", "it exists already"),
        ("--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "it holds more lines"),
        (
            diff("@@ -2 +2 @@\n-b\n\\ No newline at end of file\n+c\n"),
            "last line without a newline",
        ),
    ],
)
def test_wrong_patch_changes_nothing(text: str, sentence: str, folder: Path, call: Call) -> None:
    (folder / "f").write_text("a\nb\n")
    with pytest.raises(ToolError, match=sentence):
        call("patch", patch=text)
    assert [(item.name, item.read_text()) for item in folder.iterdir() if item.is_file()] == [
        ("f", "a\nb\n")
    ]


@pytest.mark.parametrize(
    ("before", "hunk", "after"),
    [
        (b"a\nb", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n", b"a\nc\n"),
        (b"a\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n", b"a\nc"),
        (b"a\nb", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n\\ No newline at end of file\n", b"A\nb"),
        (b"a\nb", "@@ -1 +1 @@\n-a\n+A\n", b"A\nb"),
        (b"a\r\nb\r\n", "@@ -1,2 +1,2 @@\n a\n-b\n+c\n", b"a\r\nc\r\n"),
        (b"a\n\nb\n", "@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", b"a\n\nc\n"),
        (b"a\n", "@@ -1,0 +2 @@\n+b\n", b"a\nb\n"),
        (b"-- x\ny\n", "@@ -1,2 +1 @@\n--- x\n y\n", b"y\n"),
    ],
)
def test_line_endings_and_odd_lines(
    before: bytes, hunk: str, after: bytes, folder: Path, call: Call
) -> None:
    (folder / "f").write_bytes(before)
    call("patch", patch=diff(hunk))
    assert (folder / "f").read_bytes() == after


def test_what_git_diff_writes_applies(folder: Path, call: Call) -> None:
    old, new = folder.parent / "a", folder.parent / "b"
    for side, numbers in ((old, range(300)), (new, [n for n in range(330) if n % 7])):
        side.mkdir()
        (side / "f.txt").write_text("".join(f"line {n}\n" for n in numbers))
    text = subprocess.run(
        ["git", "diff", "--no-index", "--no-prefix", "a/f.txt", "b/f.txt"],
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    (folder / "f.txt").write_text((old / "f.txt").read_text())
    call("patch", patch=text)
    assert (folder / "f.txt").read_text() == (new / "f.txt").read_text()
