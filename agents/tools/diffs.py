"""Unified diffs: reading one, and applying its hunks to a file's lines.

The format is that of `diff -u` and `git diff` (POSIX diff, "unified context"). A hunk must match
exactly (fuzz 0); only its place may have moved, then the nearest match counts. Nothing here
touches a file.
"""

import re

import msgspec

from plugins.errors import ToolError

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_UNSUPPORTED = ("rename from ", "copy from ", "GIT binary patch", "Binary files ")


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """`old` and `new` are lines without endings. `*_ends` is False where the diff says that the
    last line has no newline."""

    number: int
    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    old_ends: bool = True
    new_ends: bool = True


class FilePatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a diff says about one file; an `old` or `new` path of None means there is no file."""

    old: str | None
    new: str | None
    hunks: tuple[Hunk, ...]
    is_executable: bool | None = None

    @property
    def path(self) -> str:
        return self.new or self.old or ""


class HunkRejectedError(Exception):
    """A hunk that does not fit; the sentence names it."""


def parse_diff(text: str) -> list[FilePatch]:
    """Read a diff of one or many files. Raises `ToolError` with the line that is wrong."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return _Reader(lines).files()


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0

    def files(self) -> list[FilePatch]:
        found: list[FilePatch] = []
        executable: bool | None = None
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.startswith(_UNSUPPORTED):
                raise self._wrong("renames, copies and binary changes are not supported")
            if line.startswith("diff --git "):
                executable = None
            elif mode := re.fullmatch(r"new (?:file )?mode (\d{6})", line):
                executable = mode[1] == "100755"
                if mode[1] not in ("100755", "100644"):
                    raise self._wrong("only regular files can be made")
            elif line.startswith("--- ") and self._peek(1).startswith("+++ "):
                found.append(self._file(executable))
                executable = None
                continue
            elif line.startswith("@@ "):
                raise self._wrong("a hunk stands before its --- and +++ lines")
            self._at += 1
        if not found:
            raise ToolError(
                "The patch holds no file.",
                remedy="Send a unified diff with --- and +++ lines and @@ hunks.",
            )
        return found

    def _file(self, executable: bool | None) -> FilePatch:
        old = _path(self._lines[self._at][4:], "a/")
        new = _path(self._lines[self._at + 1][4:], "b/")
        if old is None and new is None:
            raise self._wrong("both sides are /dev/null")
        if old is not None and new is not None and old != new:
            raise self._wrong(f"the file would be renamed from {old} to {new}")
        self._at += 2
        hunks: list[Hunk] = []
        while self._peek(0).startswith("@@ "):
            hunks.append(self._hunk(len(hunks) + 1))
        if not hunks:
            raise self._wrong(f"no hunk follows the header of {new or old}")
        return FilePatch(old=old, new=new, hunks=tuple(hunks), is_executable=executable)

    def _hunk(self, number: int) -> Hunk:
        head = _HUNK.match(self._lines[self._at])
        if head is None:
            raise self._wrong("a hunk must begin like @@ -1,3 +1,4 @@")
        left_old, left_new = (int(head[group] or 1) for group in (2, 4))
        old: list[str] = []
        new: list[str] = []
        old_ends = new_ends = True
        self._at += 1
        while left_old or left_new:
            line = self._peek(0) if self._at < len(self._lines) else None
            # Editors and models strip the blank that stands for an empty line of context.
            sign = " " if line == "" else line[:1] if line is not None else ""
            if line is None or sign not in " +-":
                raise self._wrong(
                    f"hunk {number} ends before the {head[0]} it promises: "
                    f"{left_old} old and {left_new} new lines are missing"
                )
            if sign in " -" and left_old:
                old.append(line[1:])
                left_old -= 1
            elif sign in " -":
                raise self._wrong(f"hunk {number} has more old lines than {head[0]} promises")
            if sign in " +" and left_new:
                new.append(line[1:])
                left_new -= 1
            elif sign in " +":
                raise self._wrong(f"hunk {number} has more new lines than {head[0]} promises")
            self._at += 1
            if self._peek(0).startswith("\\"):
                old_ends = old_ends and sign not in " -"
                new_ends = new_ends and sign not in " +"
                self._at += 1
        if self._peek(0)[:1] in ("+", " ") or self._stray_removal():
            raise self._wrong(f"hunk {number} has more lines than {head[0]} promises")
        return Hunk(
            number=number,
            line=int(head[1]),
            old=tuple(old),
            new=tuple(new),
            old_ends=old_ends,
            new_ends=new_ends,
        )

    def _stray_removal(self) -> bool:
        line = self._peek(0)
        # `-- ` alone is the signature line that ends a mailed patch.
        return (
            line.startswith("-")
            and line.rstrip() != "--"
            and not (line.startswith("--- ") and self._peek(1).startswith("+++ "))
        )

    def _peek(self, ahead: int) -> str:
        at = self._at + ahead
        return self._lines[at] if at < len(self._lines) else ""

    def _wrong(self, why: str) -> ToolError:
        return ToolError(
            f"The patch is not a valid unified diff at its line {self._at + 1}: {why}.",
            remedy="Correct the patch and send all of it again; nothing was changed.",
        )


def _path(header: str, prefix: str) -> str | None:
    path = header.partition("\t")[0].strip()
    if path == "/dev/null":
        return None
    if path.startswith('"') and path.endswith('"'):
        path = path[1:-1]
    return path.removeprefix(prefix)


def apply_hunks(patch: FilePatch, text: str) -> str:
    """Return a file's text with all hunks applied.

    Raises `HunkRejectedError` naming the first hunk that does not fit.
    """
    ending = "\r\n" if "\r\n" in text and text.count("\r\n") == text.count("\n") else "\n"
    ends = text.endswith("\n") or not text
    lines = text.split(ending)
    if lines[-1] == "":
        lines.pop()
    result: list[str] = []
    done = moved = 0
    for hunk in patch.hunks:
        at, moved = _place(lines, hunk, done, moved)
        result += [*lines[done:at], *hunk.new]
        done = at + len(hunk.old)
        if not hunk.old_ends and (ends or done != len(lines)):
            raise HunkRejectedError(
                f"hunk {hunk.number} does not apply: it wants a last line without a newline"
            )
        if done == len(lines):
            ends = hunk.new_ends and (ends or not hunk.old_ends)
    result += lines[done:]
    return ending.join(result) + (ending if ends and result else "")


def _place(lines: list[str], hunk: Hunk, first: int, moved: int) -> tuple[int, int]:
    """Return the index where a hunk fits and how far that is from where it says.

    Tried are the said place, shifted as the hunk before was, then those around it, nearest first;
    never one before `first`.
    """
    wanted = list(hunk.old)
    # A hunk without old lines names the line it follows; others name their first line.
    said = hunk.line if not wanted else hunk.line - 1
    last = len(lines) - len(wanted)
    expected = min(max(said + moved, first), max(last, first))
    for distance in range(max(last - first, 0) + 1):
        for at in dict.fromkeys((expected - distance, expected + distance)):
            if first <= at <= last and lines[at : at + len(wanted)] == wanted:
                return at, at - said
    raise HunkRejectedError(_misfit(lines, hunk, expected))


def _misfit(lines: list[str], hunk: Hunk, expected: int) -> str:
    for offset, wanted in enumerate(hunk.old):
        at = expected + offset
        there = lines[at] if at < len(lines) else None
        if there != wanted:
            found = "the file ends" if there is None else f"the file has {there[:120]!r}"
            return (
                f"hunk {hunk.number} does not apply: at line {at + 1} it wants "
                f"{wanted[:120]!r}, {found}"
            )
    return f"hunk {hunk.number} does not apply: it overlaps the one before it"
