"""`patch`: a unified diff over many files, all of it or nothing."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from agents.tools.arguments import Arguments, decode, schema_of
from agents.tools.changes import NEW_FILE_MODE, FileChange, Prepared, change_files
from agents.tools.confine import Parts, Workspace, parse_path, shown_path
from agents.tools.diffs import FilePatch, HunkRejectedError, apply_hunks, parse_diff
from agents.tools.text import text_of
from agents.tools.writing import checked_size
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError

MAX_PATCH_CHARACTERS = 2_000_000
MAX_FILES = 200


class PatchArguments(Arguments, frozen=True, kw_only=True):
    patch: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_PATCH_CHARACTERS,
            description=(
                "A unified diff: --- a/path and +++ b/path lines, then @@ -line,count "
                "+line,count @@ hunks. /dev/null on one side makes or deletes a file."
            ),
        ),
    ]


class PatchTool:
    """Apply a unified diff."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="patch",
        description=(
            "Apply a unified diff to the workspace: change, make and delete several files at "
            "once. Every hunk must match its file exactly, though it may have moved to other "
            "lines. If one hunk does not match, nothing is changed and the answer names each "
            "file and hunk that failed."
        ),
        input_schema=schema_of(PatchArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(PatchArguments, arguments, "patch")
        files = parse_diff(wanted.patch)

        def prepare(workspace: Workspace) -> Prepared:
            return _prepare(workspace, files)

        return await asyncio.to_thread(change_files, context, "patch", wanted, prepare)


def _prepare(workspace: Workspace, files: list[FilePatch]) -> Prepared:
    if len(files) > MAX_FILES:
        raise ToolError(f"The patch has {len(files)} files; at most {MAX_FILES} at once.")
    _refuse_overlap([parse_path(file.path) for file in files])
    changes: list[FileChange] = []
    lines: list[str] = []
    rejects: list[str] = []
    for file in files:
        try:
            change = _change(workspace, file)
        except (HunkRejectedError, ToolError) as error:
            rejects.append(f"{file.path}: {error}")
            continue
        changes.append(change)
        lines.append(f"{_verb(change)} {file.path} ({len(file.hunks)} hunks)")
    if rejects:
        raise ToolError(
            "The patch was not applied and nothing was changed:\n" + "\n".join(rejects[:50]),
            remedy="View these files and send the whole patch again.",
        )
    return Prepared(changes=tuple(changes), text="\n".join(lines), metadata={"files": len(changes)})


def _refuse_overlap(paths: list[Parts]) -> None:
    seen: set[Parts] = set()
    for parts in sorted(paths):
        if any(parts[:length] in seen for length in range(1, len(parts) + 1)):
            raise ToolError(
                f"{shown_path(parts)} stands in the patch twice, or below another of its files.",
                remedy="Put all hunks of a file under one header.",
            )
        seen.add(parts)


def _verb(change: FileChange) -> str:
    if change.before is None:
        return "created"
    return "deleted" if change.after is None else "changed"


def _change(workspace: Workspace, file: FilePatch) -> FileChange:
    parts = parse_path(file.path)
    if file.old is None:
        if workspace.look(parts) is not None:
            raise HunkRejectedError("it exists already, but the patch makes it new")
        mode = 0o755 if file.is_executable else NEW_FILE_MODE
        after = checked_size(file.path, apply_hunks(file, ""))
        return FileChange(parts=parts, before=None, after=after, mode=mode)
    before, mode = workspace.read(parts)
    result = apply_hunks(file, text_of(file.path, before))
    if file.new is None:
        if result:
            raise HunkRejectedError(
                "the patch deletes it, but it holds more lines than the patch removes"
            )
        return FileChange(parts=parts, before=before, after=None, mode=mode)
    if file.is_executable is not None:
        mode = mode | 0o111 if file.is_executable else mode & ~0o111
    return FileChange(parts=parts, before=before, after=checked_size(file.path, result), mode=mode)
