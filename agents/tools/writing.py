"""Tools that change one file of the workspace: write, edit, insert.

Each is idempotent through `changes`: a call that is repeated with its key changes nothing again.
"""

import asyncio
import difflib
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from agents.tools.arguments import Arguments, FilePath, decode, schema_of
from agents.tools.changes import NEW_FILE_MODE, FileChange, Prepared, change_files
from agents.tools.confine import (
    MAX_FILE_BYTES,
    Kind,
    Parts,
    Workspace,
    parse_path,
    shown_path,
)
from agents.tools.text import cut_line, line_of, numbered, replaced, text_of
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError

MAX_CONTENT_CHARACTERS = 4_000_000
MAX_SNIPPET_CHARACTERS = 200_000
_COMPARED_LINES = 3_000
_COMPARED_CHARACTERS = 200

Content = Annotated[str, Meta(max_length=MAX_CONTENT_CHARACTERS)]
Snippet = Annotated[str, Meta(max_length=MAX_SNIPPET_CHARACTERS)]


class WriteArguments(Arguments, frozen=True, kw_only=True):
    path: FilePath
    content: Annotated[Content, Meta(description="The whole new content of the file.")]


class WriteTool:
    """`write`: a whole file."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="write",
        description=(
            "Write a text file in the workspace whole, replacing what was there. Missing folders "
            "are made; the permissions of an existing file stay. To change a part of a file use "
            "edit."
        ),
        input_schema=schema_of(WriteArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(WriteArguments, arguments, "write")
        parts = parse_path(wanted.path)

        def prepare(workspace: Workspace) -> Prepared:
            data = checked_size(shown_path(parts), wanted.content)
            before, mode = current(workspace, parts)
            verb = "Created" if before is None else "Replaced"
            count = len(wanted.content.splitlines())
            lines = "1 line" if count == 1 else f"{count} lines"
            return Prepared(
                changes=(FileChange(parts=parts, before=before, after=data, mode=mode),),
                text=f"{verb} {shown_path(parts)}: {lines}, {len(data)} bytes.",
            )

        return await asyncio.to_thread(change_files, context, "write", wanted, prepare)


def current(workspace: Workspace, parts: Parts) -> tuple[bytes | None, int]:
    """Return a file's content and permissions before a change; None when there is no file."""
    entry = workspace.look(parts)
    if entry is None:
        return None, NEW_FILE_MODE
    if entry.kind is Kind.FOLDER:
        raise ToolError(f"{shown_path(parts)} is a folder, not a file.", remedy="Name a file.")
    return workspace.read(parts)


def current_text(workspace: Workspace, parts: Parts) -> tuple[bytes, str, int]:
    """Return content, text and permissions of a file that must exist and be UTF-8 text."""
    data, mode = workspace.read(parts)
    return data, text_of(shown_path(parts), data), mode


def checked_size(path: str, text: str) -> bytes:
    data = text.encode()
    if len(data) > MAX_FILE_BYTES:
        raise ToolError(
            f"{path} would be {len(data)} bytes; at most {MAX_FILE_BYTES} can be written.",
            remedy="Split it into several files.",
        )
    return data


class EditArguments(Arguments, frozen=True, kw_only=True):
    path: FilePath
    old_string: Annotated[
        Snippet,
        Meta(
            min_length=1,
            description=(
                "The exact text to replace, with its indentation and enough lines around it to be "
                "found only once."
            ),
        ),
    ]
    new_string: Annotated[Snippet, Meta(description="The text to put in its place.")]
    replace_all: Annotated[
        bool, Meta(description="Replace every place where old_string stands.")
    ] = False
    count: (
        Annotated[
            int,
            Meta(
                ge=1,
                description="How many places there must be; all are replaced. Default: exactly 1.",
            ),
        ]
        | UnsetType
    ) = UNSET


class EditTool:
    """`edit`: replace an exact piece of text."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="edit",
        description=(
            "Replace an exact piece of text in a file of the workspace. old_string must match the "
            "file character for character (without the line numbers view shows) and stand there "
            "exactly once, unless replace_all or count says otherwise. Nothing is changed when it "
            "does not."
        ),
        input_schema=schema_of(EditArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(EditArguments, arguments, "edit")
        parts = parse_path(wanted.path)

        def prepare(workspace: Workspace) -> Prepared:
            before, text, mode = current_text(workspace, parts)
            path = shown_path(parts)
            after, first, count = _replaced(path, text, wanted)
            data = checked_size(path, after)
            places = "1 place" if count == 1 else f"{count} places"
            return Prepared(
                changes=(FileChange(parts=parts, before=before, after=data, mode=mode),),
                text=f"Changed {places} in {path}.\n{_surroundings(after, first, wanted)}",
                metadata={"replacements": count},
            )

        return await asyncio.to_thread(change_files, context, "edit", wanted, prepare)


def _replaced(path: str, text: str, wanted: EditArguments) -> tuple[str, int, int]:
    """Return the new text, the position of the first change and the number of changes."""
    old, new = wanted.old_string, wanted.new_string
    if old == new:
        raise ToolError("old_string and new_string are the same.", remedy="Nothing to change.")
    if old not in text and "\r\n" in text and "\r" not in old:
        # The model sees lines without their endings; give it the file's own.
        old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
    found = text.count(old)
    if not found:
        raise ToolError(
            f"old_string does not stand in {path}.{nearest_lines(text, wanted.old_string)}",
            remedy="View the file and copy the text exactly, with its indentation.",
        )
    expected = found if wanted.replace_all and wanted.count is UNSET else wanted.count or 1
    if found != expected:
        raise ToolError(
            f"old_string stands {found} times in {path} (lines {_places(text, old)}), "
            f"not {expected}.",
            remedy="Add lines around it to name one place, or set replace_all.",
        )
    return replaced(text, old, new, MAX_FILE_BYTES)[0], text.index(old), found


def _places(text: str, wanted: str) -> str:
    lines: list[str] = []
    position = text.find(wanted)
    while position >= 0 and len(lines) < 10:
        lines.append(str(line_of(text, position)))
        position = text.find(wanted, position + len(wanted))
    return ", ".join(lines) + (", …" if position >= 0 else "")


def nearest_lines(text: str, wanted: str) -> str:
    """Say which lines of a file are most like the first line that was looked for."""
    first = next((line.strip() for line in wanted.splitlines() if line.strip()), "")
    lines = text.splitlines()
    if not first or not lines:
        return ""
    same = [index for index, line in enumerate(lines) if line.strip() == first]
    if not same:
        cut = [line.strip()[:_COMPARED_CHARACTERS] for line in lines[:_COMPARED_LINES]]
        close = difflib.get_close_matches(first[:_COMPARED_CHARACTERS], set(cut), n=3, cutoff=0.6)
        same = [index for index, line in enumerate(cut) if line in close]
    if not same:
        return ""
    shown = "\n".join(numbered([cut_line(lines[index], 200)], index + 1) for index in same[:3])
    return f" The nearest lines are:\n{shown}\n"


def _surroundings(text: str, position: int, wanted: EditArguments) -> str:
    line = line_of(text, position)
    first = max(1, line - 2)
    last = line + min(wanted.new_string.count("\n"), 20) + 2
    return numbered([cut_line(part, 300) for part in text.splitlines()[first - 1 : last]], first)


class InsertArguments(Arguments, frozen=True, kw_only=True):
    path: FilePath
    insert_line: Annotated[
        int,
        Meta(ge=0, description="Insert after the line with this number; 0 inserts at the top."),
    ]
    content: Annotated[
        Snippet, Meta(min_length=1, description="The lines to insert; a last newline is added.")
    ]


class InsertTool:
    """`insert`: lines between lines."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="insert",
        description=(
            "Insert lines into a text file of the workspace after a given line number "
            "(0 for the top, the number of lines for the end)."
        ),
        input_schema=schema_of(InsertArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(InsertArguments, arguments, "insert")
        parts = parse_path(wanted.path)

        def prepare(workspace: Workspace) -> Prepared:
            before, text, mode = current_text(workspace, parts)
            after, count = _inserted(shown_path(parts), text, wanted)
            data = checked_size(shown_path(parts), after)
            first = wanted.insert_line + 1
            return Prepared(
                changes=(FileChange(parts=parts, before=before, after=data, mode=mode),),
                text=f"Inserted {count} lines in {shown_path(parts)} from line {first}.",
            )

        return await asyncio.to_thread(change_files, context, "insert", wanted, prepare)


def _inserted(path: str, text: str, wanted: InsertArguments) -> tuple[str, int]:
    ending = "\r\n" if "\r\n" in text else "\n"
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    elif wanted.insert_line == len(lines):
        lines[-1] += ending[:-1]  # the last line had no newline and is now followed by another
    if wanted.insert_line > len(lines):
        raise ToolError(
            f"{path} has {len(lines)} lines; insert_line is {wanted.insert_line}.",
            remedy=f"Use a number from 0 to {len(lines)}.",
        )
    new = wanted.content.replace("\r\n", "\n").removesuffix("\n").split("\n")
    inserted = [line + ending[:-1] for line in new]
    at = wanted.insert_line
    result = "\n".join([*lines[:at], *inserted, *lines[at:]])
    # A file that did not end in a newline keeps its end, unless the new lines are the end.
    ends = text.endswith("\n") or not text or at == len(lines)
    return result + ("\n" if ends else ""), len(new)
