"""Tools that read the run's workspace: ls, view, glob, grep."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, BinaryIO

from msgspec import Meta

from agents.tools.arguments import Arguments, FilePath, FolderPath, decode, schema_of
from agents.tools.confine import (
    Entry,
    Kind,
    Parts,
    Workspace,
    opened_workspace,
    parse_path,
    shown_path,
)
from agents.tools.matching import MAX_PATTERN_CHARACTERS, Matcher, matcher
from agents.tools.text import (
    MAX_RESULT_CHARACTERS,
    bounded,
    cut_line,
    is_binary,
    numbered,
    refuse_binary,
)
from agents.tools.walking import Glob, Walk, files_below
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError

MAX_VIEW_SCAN_BYTES = 256 * 1024 * 1024
MAX_VIEW_LINE_BYTES = 1024 * 1024
MAX_GREP_FILE_BYTES = 4 * 1024 * 1024
MAX_GREP_TOTAL_BYTES = 128 * 1024 * 1024

Include = Annotated[
    str,
    Meta(
        max_length=1000,
        description="Only files whose path or name matches this glob pattern, such as *.py.",
    ),
]


class ListArguments(Arguments, frozen=True, kw_only=True):
    path: FolderPath = "."
    depth: Annotated[
        int, Meta(ge=1, le=8, description="How many levels of folders to show; 1 is this one only.")
    ] = 1
    limit: Annotated[int, Meta(ge=1, le=2000, description="Most entries to show.")] = 500


class ListTool:
    """`ls`: what a folder holds."""

    files = FileUse.READS
    spec = ToolSpec(
        name="ls",
        description=(
            "List the files and folders in a folder of the workspace, with sizes in bytes. "
            "Folders end in /. Use depth to see several levels at once, glob to search by name."
        ),
        input_schema=schema_of(ListArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return await asyncio.to_thread(self._list, decode(ListArguments, arguments, "ls"), context)

    def _list(self, wanted: ListArguments, context: ToolContext) -> ToolResult:
        start = parse_path(wanted.path)
        with opened_workspace(context.workspace_path) as workspace:
            lines = list(self._lines(workspace, start, wanted.depth, 0))
        if not lines:
            return ToolResult(text=f"{shown_path(start)} is empty.")
        remedy = "list a folder below, or raise limit"
        return ToolResult(text=bounded(lines, "entries", remedy, wanted.limit))

    def _lines(self, workspace: Workspace, parts: Parts, depth: int, level: int) -> list[str]:
        lines: list[str] = []
        for entry in workspace.entries(parts):
            lines.append("  " * level + _described(entry))
            if entry.kind is Kind.FOLDER and level + 1 < depth and len(lines) < 5000:
                lines += self._lines(workspace, (*parts, entry.name), depth, level + 1)
        return lines


def _described(entry: Entry) -> str:
    if entry.kind is Kind.FOLDER:
        return f"{entry.name}/"
    if entry.kind is Kind.FILE:
        return f"{entry.name}  {entry.size_bytes}"
    return f"{entry.name}  ({entry.kind}, cannot be opened)"


class ViewArguments(Arguments, frozen=True, kw_only=True):
    path: FilePath
    offset: Annotated[int, Meta(ge=1, description="Number of the first line to show.")] = 1
    limit: Annotated[int, Meta(ge=1, le=5000, description="Most lines to show.")] = 2000


class ViewTool:
    """`view`: the lines of a text file, numbered."""

    files = FileUse.READS
    spec = ToolSpec(
        name="view",
        description=(
            "Show a text file of the workspace with line numbers. The number and the tab after it "
            "are not part of the file. For a long file give offset and limit."
        ),
        input_schema=schema_of(ViewArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(ViewArguments, arguments, "view")
        return await asyncio.to_thread(self._view, wanted, context)

    def _view(self, wanted: ViewArguments, context: ToolContext) -> ToolResult:
        parts = parse_path(wanted.path)
        with (
            opened_workspace(context.workspace_path) as workspace,
            workspace.opened(parts) as (file, status),
        ):
            refuse_binary(shown_path(parts), file.read(8192))
            file.seek(0)
            shown, total, complete = _window(file, wanted.offset, wanted.limit)
        if total == 0:
            return ToolResult(text=f"{shown_path(parts)} is empty.")
        if not shown:
            raise ToolError(
                f"{shown_path(parts)} has only {total} lines; offset is {wanted.offset}.",
                remedy="Use a smaller offset.",
            )
        text = numbered(shown, wanted.offset)
        following = wanted.offset + len(shown)
        if following <= total or not complete:
            more = f"{total - following + 1}" if complete else "many"
            text += f"\n[truncated, {more} more lines; use offset {following}]"
        return ToolResult(
            text=text, metadata={"lines": total, "size_bytes": status.st_size, "complete": complete}
        )


def _window(file: BinaryIO, offset: int, limit: int) -> tuple[list[str], int, bool]:
    """Return the wanted lines, the number of lines, and whether the whole file was read.

    Reads a bounded piece at a time, so neither a huge file nor a huge line fills the memory.
    """
    shown: list[str] = []
    total = size = characters = 0
    full = False
    while line := file.readline(MAX_VIEW_LINE_BYTES):
        size += len(line)
        total += 1
        while not line.endswith(b"\n") and (rest := file.readline(MAX_VIEW_LINE_BYTES)):
            size += len(rest)
            if rest.endswith(b"\n") or size > MAX_VIEW_SCAN_BYTES:
                break
        if total >= offset and len(shown) < limit and not full:
            text = cut_line(line.decode(errors="replace").rstrip("\n").rstrip("\r"))
            characters += len(text) + 8
            full = characters > MAX_RESULT_CHARACTERS
            if not full:
                shown.append(text)
        if size > MAX_VIEW_SCAN_BYTES:
            return shown, total, False
    return shown, total, True


class GlobArguments(Arguments, frozen=True, kw_only=True):
    pattern: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=1000,
            description="Such as **/*.py or src/**/test_*.{ts,tsx}; ** stands for any folders.",
        ),
    ]
    path: FolderPath = "."
    limit: Annotated[int, Meta(ge=1, le=2000, description="Most paths to show.")] = 500


class GlobTool:
    """`glob`: files by name."""

    files = FileUse.READS
    spec = ToolSpec(
        name="glob",
        description=(
            "Find files of the workspace by a pattern of their path: * and ? within a name, "
            "[a-z], {one,two}, ** for any number of folders. The pattern is relative to path. "
            "What is inside .git is left out. Paths come in alphabetical order."
        ),
        input_schema=schema_of(GlobArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(GlobArguments, arguments, "glob")
        return await asyncio.to_thread(self._glob, wanted, context)

    def _glob(self, wanted: GlobArguments, context: ToolContext) -> ToolResult:
        start = parse_path(wanted.path)
        pattern = Glob(wanted.pattern)
        with opened_workspace(context.workspace_path) as workspace:
            walk = Walk(workspace, start)
            found = [
                shown_path(parts)
                for parts, entry in walk
                if entry.kind is not Kind.FOLDER and pattern.matches(parts[len(start) :])
            ]
        if not found:
            lines = [f"No file below {shown_path(start)} matches {wanted.pattern}.", *walk.note]
            return ToolResult(text="\n".join(lines), metadata={"count": 0})
        remedy = "use a narrower pattern or path"
        lines = [bounded(sorted(found), "paths", remedy, wanted.limit), *walk.note]
        return ToolResult(text="\n".join(lines), metadata={"count": len(found)})


class GrepArguments(Arguments, frozen=True, kw_only=True):
    pattern: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_PATTERN_CHARACTERS,
            description="A regular expression (Python syntax), looked for in each line.",
        ),
    ]
    path: FolderPath = "."
    include: Include = ""
    literal: Annotated[
        bool, Meta(description="Look for the pattern as it is written, not as an expression.")
    ] = False
    ignore_case: Annotated[bool, Meta(description="Treat upper and lower case as equal.")] = False
    context_lines: Annotated[
        int, Meta(ge=0, le=20, description="Lines to show before and after each match.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=1000, description="Most matching lines to show.")] = 200
    offset: Annotated[int, Meta(ge=0, description="Matching lines to skip first.")] = 0


class GrepTool:
    """`grep`: lines by content."""

    files = FileUse.READS
    spec = ToolSpec(
        name="grep",
        description=(
            "Search the text files of the workspace line by line. Answers path:line:text for each "
            "match. Binary files and what is inside .git are left out. path may also be one file. "
            "Set literal when the pattern is plain text with special characters."
        ),
        input_schema=schema_of(GrepArguments),
        effect=EffectClass.READ,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(GrepArguments, arguments, "grep")
        return await asyncio.to_thread(self._grep, wanted, context)

    def _grep(self, wanted: GrepArguments, context: ToolContext) -> ToolResult:
        start = parse_path(wanted.path)
        search = _Search(wanted)
        notes: list[str] = []
        with (
            opened_workspace(context.workspace_path) as workspace,
            matcher(
                wanted.pattern, literal=wanted.literal, ignore_case=wanted.ignore_case
            ) as found,
        ):
            here = workspace.look(start)
            if here is not None and here.kind is Kind.FILE:
                search.file(workspace, start, found)
            else:
                walk = Walk(workspace, start)
                for parts, _ in files_below(walk, wanted.include):
                    if not search.file(workspace, parts, found):
                        break
                notes = walk.note
        return ToolResult(
            text="\n".join([search.text(), *search.notes(), *notes]),
            metadata={"matches": search.matches, "files": search.files},
        )


class _Search:
    """What one grep has found so far."""

    def __init__(self, wanted: GrepArguments) -> None:
        self._wanted = wanted
        self._lines: list[str] = []
        self._size = 0
        self._read_bytes = 0
        self._too_large = 0
        self._stopped = ""
        self._shown = 0
        self.matches = 0
        self.files = 0

    def file(self, workspace: Workspace, parts: Parts, found: Matcher) -> bool:
        """Search one file; False when the search has read as much as it may."""
        with workspace.opened(parts) as (file, _):
            data = file.read(MAX_GREP_FILE_BYTES + 1)
        if len(data) > MAX_GREP_FILE_BYTES:
            self._too_large += 1
            return True
        if is_binary(data):
            return True
        self._read_bytes += len(data)
        if self._read_bytes > MAX_GREP_TOTAL_BYTES:
            self._stopped = f"stopped after {MAX_GREP_TOTAL_BYTES} bytes of text"
            return False
        text = data.decode(errors="replace").removesuffix("\n")
        indexes = found.lines(text)
        if indexes:
            self.files += 1
            lines = text.split("\n")
            for index in indexes:
                self._take(shown_path(parts), lines, index)
        return True

    def _take(self, path: str, lines: list[str], index: int) -> None:
        self.matches += 1
        if self.matches <= self._wanted.offset or self._shown >= self._wanted.limit:
            return
        around = self._wanted.context_lines
        first, last = max(0, index - around), min(len(lines), index + around + 1)
        block = [
            f"{path}{mark}{at + 1}{mark}{cut_line(lines[at], 500)}"
            for at in range(first, last)
            for mark in (":" if at == index else "-")
        ]
        if around:
            block.append("--")
        self._size += sum(len(line) + 1 for line in block)
        if self._size > MAX_RESULT_CHARACTERS:
            return
        self._shown += 1
        self._lines += block

    def text(self) -> str:
        if not self.matches:
            return f"No line matches {self._wanted.pattern!r}."
        return "\n".join(self._lines)

    def notes(self) -> list[str]:
        notes = []
        following = self._wanted.offset + self._shown
        if self.matches > following:
            left = self.matches - following
            notes.append(f"[truncated, {left} more matching lines; use offset {following}]")
        if self._too_large:
            notes.append(
                f"[{self._too_large} files larger than {MAX_GREP_FILE_BYTES} bytes were left out]"
            )
        if self._stopped:
            notes.append(f"[incomplete: {self._stopped}]")
        return notes
