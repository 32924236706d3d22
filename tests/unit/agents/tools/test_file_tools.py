"""What each workspace tool answers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.tools import matching
from plugins.contracts import ToolResult
from plugins.errors import InvalidArgumentsError, ToolError

Call = Callable[..., ToolResult]


def test_echo_gives_back_the_text(call: Call) -> None:
    assert call("echo", text="hé\n").text == "hé\n"


@pytest.mark.parametrize(
    "arguments", [{}, {"text": 1}, {"text": "x", "more": 1}, {"text": "\ud800"}]
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], call: Call) -> None:
    with pytest.raises(InvalidArgumentsError, match="arguments of echo do not fit"):
        call("echo", **arguments)


def test_ls_shows_sizes_and_levels_and_hides_our_records(folder: Path, call: Call) -> None:
    call("write", path="b/c/deep.txt", content="12345")
    (folder / "a.txt").write_text("123")
    assert call("ls").text == "a.txt  3\nb/"
    assert call("ls", depth=3).text == "a.txt  3\nb/\n  c/\n    deep.txt  5"
    assert call("ls", path="b/c").text == "deep.txt  5"


def test_ls_of_an_empty_and_of_a_missing_folder(call: Call) -> None:
    assert call("ls").text == ". is empty."
    with pytest.raises(ToolError, match="nowhere does not exist in the workspace"):
        call("ls", path="nowhere")


def test_ls_is_cut_with_a_sentence(folder: Path, call: Call) -> None:
    for number in range(5):
        (folder / f"f{number}").touch()
    assert call("ls", limit=2).text == (
        "f0  0\nf1  0\n[truncated, 3 more entries; list a folder below, or raise limit]"
    )


def test_view_numbers_lines_and_pages(folder: Path, call: Call) -> None:
    (folder / "f").write_text("".join(f"line {n}\n" for n in range(1, 11)))
    assert call("view", path="f", limit=2).text == (
        "     1\tline 1\n     2\tline 2\n[truncated, 8 more lines; use offset 3]"
    )
    assert call("view", path="f", offset=10).text == "    10\tline 10"
    with pytest.raises(ToolError, match="has only 10 lines; offset is 11"):
        call("view", path="f", offset=11)


def test_view_of_odd_files(folder: Path, call: Call) -> None:
    (folder / "empty").touch()
    (folder / "crlf").write_bytes(b"a\r\nb")
    (folder / "latin").write_bytes(b"caf\xe9\n")
    (folder / "long").write_text("x" * 5000)
    assert call("view", path="empty").text == "empty is empty."
    assert call("view", path="crlf").text == "     1\ta\n     2\tb"
    assert call("view", path="latin").text == "     1\tcaf\ufffd"
    assert call("view", path="long").text == (
        "     1\t" + "x" * 2000 + " [line cut, 3000 more characters]"
    )


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", r"image \(PNG\)"),
        (b"\xff\xd8\xff\xe0", r"image \(JPEG\)"),
        (b"GIF89a", r"image \(GIF\)"),
        (b"RIFF\0\0\0\0WEBP", r"image \(WebP\)"),
        (b"\x7fELF\0\0", "binary file"),
    ],
)
def test_view_refuses_what_is_not_text(
    data: bytes, sentence: str, folder: Path, call: Call
) -> None:
    (folder / "f").write_bytes(data)
    with pytest.raises(ToolError, match=sentence):
        call("view", path="f")


def test_view_of_a_huge_sparse_file_is_refused_as_binary(folder: Path, call: Call) -> None:
    with (folder / "f").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ToolError, match="binary file"):
        call("view", path="f")


def test_view_of_a_huge_file_stops_reading(folder: Path, call: Call) -> None:
    with (folder / "f").open("wb") as file:
        file.write(b"first\n" + b"x" * 10_000)
        file.truncate(1 << 40)
    result = call("view", path="f")
    assert result.text.startswith("     1\tfirst\n     2\txxx")
    assert result.text.endswith("[truncated, many more lines; use offset 3]")
    assert result.metadata["complete"] is False


def test_view_of_many_long_lines_is_bounded(folder: Path, call: Call) -> None:
    (folder / "f").write_text(("y" * 1999 + "\n") * 500)
    result = call("view", path="f")
    assert len(result.text) < 101_000
    assert result.text.endswith("[truncated, 451 more lines; use offset 50]")


def test_glob_patterns(folder: Path, call: Call) -> None:
    for path in ("a.py", "src/b.py", "src/deep/c.ts", "src/deep/d.tsx", ".git/e.py", "[x].md"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()

    def found(**arguments: str) -> list[str]:
        return call("glob", **arguments).text.split("\n")

    assert found(pattern="**/*.py") == ["a.py", "src/b.py"]
    assert found(pattern="*.py") == ["a.py"]
    assert found(pattern="src/**/*.{ts,tsx}") == ["src/deep/c.ts", "src/deep/d.tsx"]
    assert found(pattern="**", path="src/deep") == ["src/deep/c.ts", "src/deep/d.tsx"]
    assert found(pattern="**/deep/?.ts") == ["src/deep/c.ts"]
    assert found(pattern="[[]x].md") == ["[x].md"]
    assert found(pattern="**/nothing") == ["No file below . matches **/nothing."]


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a/../../*"])
def test_glob_pattern_cannot_leave(pattern: str, call: Call) -> None:
    with pytest.raises(ToolError, match="leaves the workspace"):
        call("glob", pattern=pattern)


def test_hostile_glob_patterns_end_quickly(folder: Path, call: Call) -> None:
    (folder / ("a" * 250)).touch()
    assert call("glob", pattern="*a" * 100 + "b").metadata == {"count": 0}
    assert call("glob", pattern="**/" * 300 + "b").metadata == {"count": 0}
    with pytest.raises(ToolError, match="more than 64 alternatives"):
        call("glob", pattern="{a,b}" * 20)


def test_deep_tree_is_walked_to_its_limit_and_said_so(folder: Path, call: Call) -> None:
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)
    text = call("glob", pattern="**/bottom").text
    assert text.endswith("[incomplete: folders more than 64 deep were left out]")
    with pytest.raises(ToolError, match="folders more than 64 deep"):
        call("search_replace", search="x", replace="y")


def test_grep_finds_lines(folder: Path, call: Call) -> None:
    (folder / "a.py").write_text("import os\nprint(os)\n")
    (folder / "b.txt").write_text("import nothing\n")
    (folder / "bin").write_bytes(b"import\0")
    assert call("grep", pattern="import").text == "a.py:1:import os\nb.txt:1:import nothing"
    assert call("grep", pattern=r"^import\s+\w+$", include="*.py").text == "a.py:1:import os"
    assert call("grep", pattern="IMPORT OS", ignore_case=True).text == "a.py:1:import os"
    assert call("grep", pattern="(os)", literal=True).text == "a.py:2:print(os)"
    assert call("grep", pattern="print", path="a.py", context_lines=1).text == (
        "a.py-1-import os\na.py:2:print(os)\n--"
    )
    assert call("grep", pattern="absent").text == "No line matches 'absent'."


def test_grep_pages(folder: Path, call: Call) -> None:
    (folder / "f").write_text("x\n" * 10)
    assert call("grep", pattern="x", limit=1, offset=3).text == (
        "f:4:x\n[truncated, 6 more matching lines; use offset 4]"
    )


def test_invalid_expression_is_a_sentence(folder: Path, call: Call) -> None:
    (folder / "f").write_text("x")
    with pytest.raises(InvalidArgumentsError, match="expression or its replacement is not valid"):
        call("grep", pattern="(")
    with pytest.raises(InvalidArgumentsError, match="replacement is not valid"):
        call("search_replace", search="(x)", replace=r"\7", regex=True)


def test_catastrophic_expression_is_stopped(
    folder: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MAX_SECONDS", 0.3)
    (folder / "f").write_text("a" * 60 + "!")
    with pytest.raises(ToolError, match=r"took longer than 0\.3 seconds"):
        call("grep", pattern="(a+)+$")
    with pytest.raises(ToolError, match=r"took longer than 0\.3 seconds"):
        call("search_replace", search="(a|a)+$", replace="b", regex=True)
    assert (folder / "f").read_text() == "a" * 60 + "!"


def test_write_creates_and_replaces(folder: Path, call: Call) -> None:
    assert call("write", path="d/f", content="a\nb\n").text == "Created d/f: 2 lines, 4 bytes."
    (folder / "d/f").chmod(0o755)
    assert call("write", path="d/g", content="a\n").text == "Created d/g: 1 line, 2 bytes."
    assert call("write", path="d/f", content="").text == "Replaced d/f: 0 lines, 0 bytes."
    assert (folder / "d/f").read_text() == ""
    assert (folder / "d/f").stat().st_mode & 0o777 == 0o755
    with pytest.raises(ToolError, match="d is a folder"):
        call("write", path="d", content="x")
    with pytest.raises(ToolError, match="d/f is a file, not a folder"):
        call("write", path="d/f/g", content="x")


def test_edit_replaces_one_place(folder: Path, call: Call) -> None:
    (folder / "f").write_text("a\nb\nc\n")
    result = call("edit", path="f", old_string="b\n", new_string="B\n")
    assert result.text == "Changed 1 place in f.\n     1\ta\n     2\tB\n     3\tc"
    assert (folder / "f").read_text() == "a\nB\nc\n"


def test_edit_counts(folder: Path, call: Call) -> None:
    (folder / "f").write_text("x x\nx\n")
    with pytest.raises(ToolError, match=r"stands 3 times in f \(lines 1, 1, 2\), not 1"):
        call("edit", path="f", old_string="x", new_string="y")
    with pytest.raises(ToolError, match="not 2"):
        call("edit", path="f", old_string="x", new_string="y", count=2)
    assert (folder / "f").read_text() == "x x\nx\n"
    call("edit", path="f", old_string="x", new_string="y", count=3)
    call("edit", path="f", old_string="y", new_string="z", replace_all=True)
    assert (folder / "f").read_text() == "z z\nz\n"


def test_edit_names_the_nearest_lines(folder: Path, call: Call) -> None:
    (folder / "f").write_text("def first():\n    return compute_value(1)\n")
    with pytest.raises(ToolError) as refused:
        call("edit", path="f", old_string="  return compute_values(1)", new_string="x")
    assert "     2\t    return compute_value(1)" in str(refused.value)
    with pytest.raises(ToolError) as refused:
        call("edit", path="f", old_string="\treturn compute_value(1)", new_string="x")
    assert "     2\t    return compute_value(1)" in str(refused.value)


def test_edit_keeps_windows_line_endings(folder: Path, call: Call) -> None:
    (folder / "f").write_bytes(b"a\r\nb\r\nc\r\n")
    call("edit", path="f", old_string="a\nb", new_string="1\n2\n3")
    assert (folder / "f").read_bytes() == b"1\r\n2\r\n3\r\nc\r\n"


def test_edit_refuses_what_is_not_utf8(folder: Path, call: Call) -> None:
    (folder / "f").write_bytes(b"ok\ncaf\xe9\n")
    with pytest.raises(ToolError, match=r"not UTF-8 text \(first bad byte in line 2"):
        call("edit", path="f", old_string="ok", new_string="x")
    assert (folder / "f").read_bytes() == b"ok\ncaf\xe9\n"


@pytest.mark.parametrize(
    ("before", "line", "after"),
    [
        (b"", 0, b"new\n"),
        (b"a\nb\n", 0, b"new\na\nb\n"),
        (b"a\nb\n", 1, b"a\nnew\nb\n"),
        (b"a\nb\n", 2, b"a\nb\nnew\n"),
        (b"a\nb", 2, b"a\nb\nnew\n"),
        (b"a\nb", 1, b"a\nnew\nb"),
        (b"a\r\nb\r\n", 1, b"a\r\nnew\r\nb\r\n"),
        (b"a\r\nb", 2, b"a\r\nb\r\nnew\r\n"),
    ],
)
def test_insert(before: bytes, line: int, after: bytes, folder: Path, call: Call) -> None:
    (folder / "f").write_bytes(before)
    call("insert", path="f", insert_line=line, content="new\n")
    assert (folder / "f").read_bytes() == after


def test_insert_beyond_the_end_is_refused(folder: Path, call: Call) -> None:
    (folder / "f").write_text("a\n")
    with pytest.raises(ToolError, match="f has 1 lines; insert_line is 2"):
        call("insert", path="f", insert_line=2, content="x")


def test_search_replace_over_files(folder: Path, call: Call) -> None:
    (folder / "a.py").write_text("old.name(old)")
    (folder / "b.py").write_text("nothing")
    (folder / "c.txt").write_text("old.name")
    (folder / "bin").write_bytes(b"old.name\0")
    result = call("search_replace", search="old.name", replace="a\\1b", include="*.py")
    assert result.text == "Replaced 1 places in 1 files:\na.py: 1"
    assert (folder / "a.py").read_text() == "a\\1b(old)"
    assert (folder / "c.txt").read_text() == "old.name"
    call("search_replace", search=r"(\w+)\.(\w+)", replace=r"\2.\1", regex=True, path="c.txt")
    assert (folder / "c.txt").read_text() == "name.old"
    call("search_replace", search="NAME.", replace="\\1", ignore_case=True, path="c.txt")
    assert (folder / "c.txt").read_text() == "\\1old"
    with pytest.raises(ToolError, match="'zzz' stands in no text file"):
        call("search_replace", search="zzz", replace="")


@pytest.mark.parametrize("more", [{}, {"regex": True}, {"ignore_case": True}])
def test_growing_replacement_is_bounded(more: dict[str, bool], folder: Path, call: Call) -> None:
    (folder / "f").write_text("xx" * 50_000)
    big = "y" * 100_000
    with pytest.raises(ToolError, match="would be"):
        call("search_replace", search="x(?:)" if "regex" in more else "x", replace=big, **more)
    with pytest.raises(ToolError, match="would be"):
        call("edit", path="f", old_string="x", new_string=big, replace_all=True)
    assert (folder / "f").stat().st_size == 100_000


def test_todo_list(folder: Path, call: Call) -> None:
    assert call("todo").text == "The todo list is empty."
    text = call(
        "todo", action="add", items=[{"content": "one"}, {"id": "x", "content": "two"}]
    ).text
    assert text == "[ ] 1. one (pending)\n[ ] x. two (pending)"
    text = call("todo", action="update", items=[{"id": "1", "status": "completed"}]).text
    assert text == "[x] 1. one (completed)\n[ ] x. two (pending)"
    assert call("todo").text == text
    for arguments, sentence in (
        ({"action": "add", "items": [{"id": "x", "content": "again"}]}, "item 'x' already"),
        ({"action": "add", "items": [{"id": "y"}]}, "needs content"),
        ({"action": "add"}, "add needs items"),
        ({"action": "update", "items": [{"id": "7"}]}, "no item '7'. Known: 1, x"),
        ({"action": "update", "items": [{"content": "c"}]}, "needs the item's id"),
    ):
        with pytest.raises(ToolError, match=sentence):
            call("todo", **arguments)
    assert call("todo").text == text
    assert call("ls").text == ". is empty."
