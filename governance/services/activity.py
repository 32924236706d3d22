"""Activity: who changed which field of which row, recorded by django-auditlog as rows change.

Every service runs inside `recorded_as`, so that the entry names the actor whatever the door was.
Entries carry the workspace of the row, which is what lists of them are scoped by.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.db.models import Model

from governance.contracts import Actor

_actor: ContextVar[Actor | None] = ContextVar("activity_actor", default=None)


@contextmanager
def recorded_as(actor: Actor) -> Iterator[None]:
    """Name `actor` in every activity entry written inside the block; the innermost block counts."""
    marker = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(marker)


def stamp_entry(sender: type[Model], instance: LogEntry, **_: Any) -> None:
    """Complete an entry that is about to be written (connected once, in `ready`)."""
    actor = _actor.get()
    if actor is None:
        return
    if actor.user_id is not None:
        instance.actor_id = actor.user_id
    data = dict(instance.additional_data or {})
    data["by"] = actor.username
    if actor.token_id is not None:
        data["token"] = str(actor.token_id)
    instance.additional_data = data


def activity_register(
    model: type[Model],
    *,
    workspace: str | None,
    exclude: Collection[str] = (),
    mask: Collection[str] = (),
    many_to_many: Collection[str] = (),
) -> None:
    """Record changes of `model` from now on; registering twice is the same as once.

    `workspace` is the attribute path to the workspace id, such as `workspace_id` or
    `agent.workspace_id`; None keeps the entries to superusers. `exclude` fields never count as a
    change; of `mask` fields only the fact is kept.
    """
    if auditlog.contains(model):
        return
    model.get_additional_data = _place_reader(workspace)  # type: ignore[attr-defined]  # auditlog asks rows for it by this name
    auditlog.register(
        model,
        exclude_fields=list(exclude),
        mask_fields=list(mask),
        m2m_fields=set(many_to_many),
    )


def _place_reader(path: str | None) -> Callable[[Model], dict[str, str]]:
    if path is None:
        return lambda _row: {}
    read = attrgetter(path)

    def place(row: Model) -> dict[str, str]:
        workspace_id = read(row)
        return {} if workspace_id is None else {"workspace": str(workspace_id)}

    return place
