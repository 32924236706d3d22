"""Changing files so that a repeated call changes nothing twice.

A call that changes files goes through five points, under the workspace's lock:

    1. each new content is written to `.agentry/staged/N`
    2. `.agentry/pending.json` says what will become what: the intent
    3. each staged file is renamed over its target (a deleted file is renamed into the staging
       folder), so that the *absence* of the staged file means "this change has happened"
    4. `.agentry/calls/<key>.json` keeps the result and the digests before and after
    5. the intent is removed

Whoever takes the lock next first completes an intent that a dead process left behind, whichever
call it belonged to. A repeated call with a recorded key gets the recorded result. So every tool
that changes files is `idempotent` in the ledger's sense, also one that inserts a line.

Only a program outside the tools (in the sandbox) can change a file between steps 2 and 3. When that
is seen, nothing is overwritten: a call of which no part has happened fails cleanly, else its
outcome is unknown.
"""

import hashlib
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from agents.tools import points
from agents.tools.confine import (
    PRIVATE,
    Parts,
    Workspace,
    digest_of,
    opened_workspace,
    parse_path,
    shown_path,
)
from plugins.contracts import ToolContext, ToolResult
from plugins.errors import OutcomeUnknownError, ToolError

_STAGED: Parts = (PRIVATE, "staged")
_CALLS: Parts = (PRIVATE, "calls")
_PENDING: Parts = (PRIVATE, "pending.json")
# Above what the longest paths of the most files make, or our own record could not be read.
_MAX_RECORD_BYTES = 16 * 1024 * 1024
NEW_FILE_MODE = 0o644


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file's old and new content; None means there is no file. `mode` is for the new one."""

    parts: Parts
    before: bytes | None
    after: bytes | None
    mode: int = NEW_FILE_MODE


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool has decided to do, with nothing done yet."""

    changes: tuple[FileChange, ...]
    text: str
    metadata: dict[str, Any] = {}


class _Digests(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    before: str | None
    after: str | None


class _State(StrEnum):
    DONE = "done"
    PARTIAL = "partial"  # some files changed, another one was changed by somebody else
    NOTHING = "nothing"  # no file of it changed; a repeated call starts anew


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    tool: str
    arguments: str  # digest
    changes: tuple[_Digests, ...]
    text: str
    metadata: dict[str, Any]
    state: _State = _State.DONE
    conflict: str = ""


Prepare: TypeAlias = Callable[[Workspace], Prepared]


def change_files(
    context: ToolContext, tool: str, arguments: msgspec.Struct, prepare: Prepare
) -> ToolResult:
    """Run `prepare` and carry out what it decided, once for each idempotency key.

    `prepare` runs under the lock, reads what it needs and raises `ToolError` when the call cannot
    be done; then nothing has changed. Blocking: call it in a thread.

    Raises `OutcomeUnknownError` when only a part of the changes could be made.
    """
    key = context.idempotency_key
    arguments_digest = digest_of(msgspec.json.encode(arguments, order="sorted"))
    with opened_workspace(context.workspace_path) as workspace:
        try:
            with workspace.exclusive():
                return _locked(workspace, key, tool, arguments_digest, prepare)
        except TimeoutError as error:
            raise _locked_out(workspace, key) from error


def _locked(
    workspace: Workspace, key: str, tool: str, arguments_digest: str, prepare: Prepare
) -> ToolResult:
    _recover(workspace)
    earlier = _read(workspace, _record_parts(key))
    if earlier is not None and earlier.state is not _State.NOTHING:
        if (earlier.tool, earlier.arguments) != (tool, arguments_digest):
            raise ToolError("This call's key was used before, with another tool or arguments.")
        return _answer(earlier)
    prepared = prepare(workspace)
    record = _Record(
        key=key,
        tool=tool,
        arguments=arguments_digest,
        changes=tuple(
            _Digests(
                path=shown_path(change.parts),
                before=None if change.before is None else digest_of(change.before),
                after=None if change.after is None else digest_of(change.after),
            )
            for change in prepared.changes
        ),
        text=prepared.text,
        metadata=prepared.metadata,
    )
    _stage(workspace, prepared.changes)
    points.reached(points.STAGED)
    workspace.put(_PENDING, msgspec.json.encode(record), mode=0o600)
    points.reached(points.PLANNED)
    return _answer(_complete(workspace, record))


def _locked_out(workspace: Workspace, key: str) -> Exception:
    pending = _read(workspace, _PENDING)
    if pending is not None and pending.key == key:
        return OutcomeUnknownError(
            "An earlier attempt of this call still holds the workspace and may yet finish.",
            remedy="Look at the files, then decide whether the call has happened.",
        )
    return ToolError(
        "Another call is changing files in this workspace and does not finish.",
        remedy="Try again in a moment.",
    )


def _stage(workspace: Workspace, changes: tuple[FileChange, ...]) -> None:
    # What lies here belongs to no intent: that of a dead process has just been completed.
    if workspace.look(_STAGED) is not None:
        for entry in workspace.entries(_STAGED):
            workspace.remove((*_STAGED, entry.name))
    for index, change in enumerate(changes):
        if change.after is not None:
            workspace.put(_staged(index), change.after, mode=change.mode)
        else:
            with workspace.folder(_STAGED, create=True):
                pass  # the deleted file is moved here


def _staged(index: int) -> Parts:
    return (*_STAGED, str(index))


def _removed(index: int) -> Parts:
    return (*_STAGED, f"{index}.removed")


def _recover(workspace: Workspace) -> None:
    pending = _read(workspace, _PENDING)
    if pending is not None:
        _complete(workspace, pending)


def _complete(workspace: Workspace, record: _Record) -> _Record:
    """Carry out what is left of an intent, write down how it ended, forget the intent."""
    applied = 0
    conflict = ""
    for index, change in enumerate(record.changes):
        try:
            conflict = _apply(workspace, index, change)
        except ToolError as error:
            conflict = str(error)
        if conflict:
            break
        applied += 1
        points.reached(points.APPLIED, change.path)
    if conflict:
        state = _State.PARTIAL if applied else _State.NOTHING
        record = msgspec.structs.replace(record, state=state, conflict=conflict)
    workspace.put(_record_parts(record.key), msgspec.json.encode(record), mode=0o600)
    points.reached(points.RECORDED)
    workspace.remove(_PENDING)
    points.reached(points.CLEARED)
    return record


def _apply(workspace: Workspace, index: int, change: _Digests) -> str:
    """Make one change unless it has happened; return why it cannot be made, or nothing."""
    parts = parse_path(change.path, private=True)
    marker = _staged(index) if change.after is not None else _removed(index)
    waiting = workspace.look(marker) is not None
    if waiting == (change.after is None):
        return ""  # a staged file that is gone, or a removed one that is here: it has happened
    if _digest_now(workspace, parts) != change.before:
        return f"{change.path} was changed by another program while this call was at work."
    if change.after is None:
        workspace.move(parts, marker)
    else:
        workspace.move(marker, parts)
    return ""


def _digest_now(workspace: Workspace, parts: Parts) -> str | None:
    if workspace.look(parts) is None:
        return None
    hasher = hashlib.sha256()
    with workspace.opened(parts) as (file, _):
        while block := file.read(1024 * 1024):
            hasher.update(block)
    return hasher.hexdigest()


def _answer(record: _Record) -> ToolResult:
    if record.state is _State.DONE:
        return ToolResult(text=record.text, metadata=record.metadata)
    if record.state is _State.NOTHING:
        raise ToolError(f"Nothing was changed: {record.conflict}", remedy="Read it again.")
    raise OutcomeUnknownError(
        f"Only a part of the files was changed: {record.conflict}",
        remedy="Compare the files with what was wanted, then decide how to go on.",
    )


def _record_parts(key: str) -> Parts:
    plain = re.fullmatch(r"[A-Za-z0-9_-]{1,100}", key) is not None
    name = key if plain else f"sha256-{digest_of(key.encode())}"
    return (*_CALLS, f"{name}.json")


def _read(workspace: Workspace, parts: Parts) -> _Record | None:
    if workspace.look(parts) is None:
        return None
    data, _ = workspace.read(parts, max_bytes=_MAX_RECORD_BYTES)
    try:
        return msgspec.json.decode(data, type=_Record)
    except msgspec.MsgspecError:
        # We replace these files in one step, so a broken one is not ours: a program in the
        # workspace wrote it. It proves nothing and must not block the run's tools for ever.
        workspace.remove(parts)
        return None
