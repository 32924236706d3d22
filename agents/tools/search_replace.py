"""`search_replace`: the same replacement in many files, all of them or none."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from agents.tools.arguments import Arguments, FolderPath, decode, schema_of
from agents.tools.changes import FileChange, Prepared, change_files
from agents.tools.confine import (
    MAX_FILE_BYTES,
    Entry,
    Kind,
    Parts,
    Workspace,
    parse_path,
    shown_path,
)
from agents.tools.matching import MAX_PATTERN_CHARACTERS, Matcher, matcher
from agents.tools.reading import Include
from agents.tools.text import is_binary
from agents.tools.walking import Walk, files_below
from agents.tools.writing import Snippet, checked_size
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError

MAX_FILES = 500
MAX_TOTAL_BYTES = 32 * 1024 * 1024


class SearchReplaceArguments(Arguments, frozen=True, kw_only=True):
    search: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_PATTERN_CHARACTERS,
            description="The text to look for; with regex, a regular expression (Python syntax).",
        ),
    ]
    replace: Annotated[
        Snippet,
        Meta(description="The text to put in its place; with regex, \\1 stands for group 1."),
    ]
    path: FolderPath = "."
    include: Include = ""
    regex: Annotated[bool, Meta(description="Treat search as a regular expression.")] = False
    ignore_case: Annotated[bool, Meta(description="Treat upper and lower case as equal.")] = False


class SearchReplaceTool:
    """Replace in one file or in all text files below a folder."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="search_replace",
        description=(
            "Replace every occurrence of a text in one file, or in all text files below a folder "
            "of the workspace (binary files and .git left out). The text is taken literally "
            "unless regex is set. Either all files are changed or none."
        ),
        input_schema=schema_of(SearchReplaceArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(SearchReplaceArguments, arguments, "search_replace")
        start = parse_path(wanted.path)

        def prepare(workspace: Workspace) -> Prepared:
            return _prepare(workspace, start, wanted)

        return await asyncio.to_thread(change_files, context, "search_replace", wanted, prepare)


def _prepare(workspace: Workspace, start: Parts, wanted: SearchReplaceArguments) -> Prepared:
    changes: list[FileChange] = []
    lines: list[str] = []
    total = total_bytes = 0
    # A replacement is literal text, too, unless regex is set.
    replacement = wanted.replace if wanted.regex else _literal(wanted)
    with matcher(wanted.search, literal=not wanted.regex, ignore_case=wanted.ignore_case) as found:
        for parts in _files(workspace, start, wanted.include):
            change, count = _changed(workspace, parts, found, replacement)
            if change is None or change.after is None:
                continue
            changes.append(change)
            total += count
            total_bytes += len(change.after)
            lines.append(f"{shown_path(parts)}: {count}")
            if len(changes) > MAX_FILES or total_bytes > MAX_TOTAL_BYTES:
                raise ToolError(
                    f"More than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes would change; "
                    "nothing was changed.",
                    remedy="Use a narrower path or include.",
                )
    if not changes:
        raise ToolError(
            f"{wanted.search!r} stands in no text file in {shown_path(start)}.",
            remedy="Use grep to see how it is written.",
        )
    text = "\n".join([f"Replaced {total} places in {len(changes)} files:", *lines])
    return Prepared(changes=tuple(changes), text=text, metadata={"replacements": total})


def _literal(wanted: SearchReplaceArguments) -> str:
    # Without regard to case even a literal search runs as an expression, whose replacement
    # gives backslashes a meaning.
    return wanted.replace.replace("\\", "\\\\") if wanted.ignore_case else wanted.replace


def _files(workspace: Workspace, start: Parts, include: str) -> list[Parts]:
    here: Entry | None = workspace.look(start)
    if here is None:
        raise ToolError(
            f"{shown_path(start)} does not exist in the workspace.",
            remedy="Use ls or glob to see what there is.",
        )
    if here.kind is not Kind.FOLDER:
        return [start]
    walk = Walk(workspace, start)
    files = [parts for parts, entry in files_below(walk, include)]
    if walk.incomplete:
        raise ToolError(
            f"Not all files could be searched ({walk.incomplete}); nothing was changed.",
            remedy="Use a narrower path.",
        )
    return files


def _changed(
    workspace: Workspace, parts: Parts, found: Matcher, replacement: str
) -> tuple[FileChange | None, int]:
    """Return a file's change, or None when it is not text or holds no match."""
    with workspace.opened(parts) as (file, status):
        data = file.read(MAX_FILE_BYTES + 1)
        mode = status.st_mode & 0o777
    if len(data) > MAX_FILE_BYTES or is_binary(data):
        return None, 0
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None, 0  # not text in an encoding we could write back unharmed
    after, count = found.replace(text, replacement)
    if not count or after == text:
        return None, 0
    return (
        FileChange(
            parts=parts, before=data, after=checked_size(shown_path(parts), after), mode=mode
        ),
        count,
    )
