"""`todo`: the run's own list of what is to be done, kept in its workspace."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agents.tools.arguments import Arguments, decode, schema_of
from agents.tools.changes import FileChange, Prepared, change_files
from agents.tools.confine import PRIVATE, Workspace, opened_workspace
from plugins.contracts import EffectClass, FileUse, ToolContext, ToolResult, ToolSpec
from plugins.errors import ToolError

MAX_ITEMS = 200
_FILE = (PRIVATE, "todo.json")


class Action(StrEnum):
    LIST = "list"
    ADD = "add"
    UPDATE = "update"


class Status(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class TodoItem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do, as it is stored."""

    id: str
    content: str
    status: Status = Status.PENDING


class ItemArguments(Arguments, frozen=True, kw_only=True):
    id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=40,
                description="Names the item to update; a new one without an id gets a number.",
            ),
        ]
        | UnsetType
    ) = UNSET
    content: (
        Annotated[
            str,
            Meta(min_length=1, max_length=1000, description="What is to be done; needed to add."),
        ]
        | UnsetType
    ) = UNSET
    status: Annotated[Status, Meta(description="How far it is.")] | UnsetType = UNSET


class TodoArguments(Arguments, frozen=True, kw_only=True):
    action: Annotated[
        Action, Meta(description="list shows the list; add and update change the given items.")
    ] = Action.LIST
    items: Annotated[
        list[ItemArguments],
        Meta(max_length=MAX_ITEMS, description="The items to add or to update."),
    ] = []


class TodoTool:
    """Keep a list of things to do."""

    files = FileUse.CHANGES
    spec = ToolSpec(
        name="todo",
        description=(
            "Keep the list of what is to be done in this run. Add the steps of a longer task at "
            "its start, set a step to in_progress when you begin it and to completed when it is "
            "done. Every call answers with the whole list."
        ),
        input_schema=schema_of(TodoArguments),
        effect=EffectClass.IDEMPOTENT,
    )

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        wanted = decode(TodoArguments, arguments, "todo")
        if wanted.action is Action.LIST:
            return await asyncio.to_thread(_listed, context)
        if not wanted.items:
            raise ToolError(f"{wanted.action} needs items.", remedy="Give at least one item.")

        def prepare(workspace: Workspace) -> Prepared:
            before, items = _load(workspace)
            change = _added if wanted.action is Action.ADD else _updated
            items = change(items, wanted.items)
            after = msgspec.json.format(msgspec.json.encode(list(items.values())))
            return Prepared(
                changes=(FileChange(parts=_FILE, before=before, after=after, mode=0o600),),
                text=_shown(items),
            )

        return await asyncio.to_thread(change_files, context, "todo", wanted, prepare)


def _listed(context: ToolContext) -> ToolResult:
    with opened_workspace(context.workspace_path) as workspace:
        return ToolResult(text=_shown(_load(workspace)[1]))


def _load(workspace: Workspace) -> tuple[bytes | None, dict[str, TodoItem]]:
    if workspace.look(_FILE) is None:
        return None, {}
    data, _ = workspace.read(_FILE)
    try:
        items = msgspec.json.decode(data, type=list[TodoItem])
    except msgspec.MsgspecError as error:
        raise ToolError(
            f"The todo list was damaged by another program: {error}.",
            remedy="Remove .agentry/todo.json in the workspace.",
        ) from error
    return data, {item.id: item for item in items}


def _added(items: dict[str, TodoItem], new: list[ItemArguments]) -> dict[str, TodoItem]:
    items = dict(items)
    for item in new:
        if item.content is UNSET:
            raise ToolError("A new item needs content.", remedy="Say what is to be done.")
        name = item.id if item.id is not UNSET else _next_id(items)
        if name in items:
            raise ToolError(
                f"There is an item {name!r} already.", remedy="Use action update to change it."
            )
        status = Status.PENDING if item.status is UNSET else item.status
        items[name] = TodoItem(id=name, content=item.content, status=status)
    if len(items) > MAX_ITEMS:
        raise ToolError(f"The list would have {len(items)} items; at most {MAX_ITEMS} fit.")
    return items


def _next_id(items: Mapping[str, TodoItem]) -> str:
    numbers = [int(name) for name in items if name.isascii() and name.isdigit()]
    return str(max(numbers, default=0) + 1)


def _updated(items: dict[str, TodoItem], changes: list[ItemArguments]) -> dict[str, TodoItem]:
    items = dict(items)
    for change in changes:
        if change.id is UNSET:
            raise ToolError("An update needs the item's id.", remedy=f"Known: {_ids(items)}.")
        if change.id not in items:
            raise ToolError(f"There is no item {change.id!r}.", remedy=f"Known: {_ids(items)}.")
        item = items[change.id]
        items[change.id] = TodoItem(
            id=item.id,
            content=item.content if change.content is UNSET else change.content,
            status=item.status if change.status is UNSET else change.status,
        )
    return items


def _ids(items: Mapping[str, TodoItem]) -> str:
    return ", ".join(items) or "none, the list is empty"


_MARKS = {
    Status.PENDING: "[ ]",
    Status.IN_PROGRESS: "[~]",
    Status.COMPLETED: "[x]",
    Status.CANCELLED: "[-]",
}


def _shown(items: Mapping[str, TodoItem]) -> str:
    if not items:
        return "The todo list is empty."
    return "\n".join(
        f"{_MARKS[item.status]} {item.id}. {item.content} ({item.status})"
        for item in items.values()
    )
