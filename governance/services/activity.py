"""Activity: who changed which field of which row, recorded by django-auditlog as rows change.

Every service runs inside `recorded_as`, so that the entry names the actor whatever the door was.
Entries carry the workspace of the row, which is what lists of them are scoped by.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter

from auditlog.context import auditlog_value
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.db.models import Model

from governance.contracts import Actor
from governance.models import User

_actor: ContextVar[Actor | None] = ContextVar("activity_actor", default=None)


@contextmanager
def recorded_as(actor: Actor) -> Iterator[None]:
    """Name `actor` in every activity entry written inside the block; the innermost block counts.

    Every entry says it in its data. Inside a request the entry's own actor column says it too:
    auditlog's middleware has begun a context before anybody was authenticated, and this completes
    it.
    """
    marker = _actor.set(actor)
    context = auditlog_value.get(None)
    before = None if context is None else context.get("actor")
    if context is not None and actor.user_id is not None:
        context["actor"] = User(pk=actor.user_id, username=actor.username)
    try:
        yield
    finally:
        if context is not None:
            context["actor"] = before
        _actor.reset(marker)


def _who() -> dict[str, str]:
    actor = _actor.get()
    if actor is None:
        return {}
    who = {"by": actor.username}
    if actor.user_id is not None:
        who["by_id"] = str(actor.user_id)
    if actor.token_id is not None:
        who["token"] = str(actor.token_id)
    return who


def activity_note(row: Model, changes: Mapping[str, tuple[str, str]]) -> None:
    """Record by hand what somebody changed of a row of the site that mostly changes by itself."""
    LogEntry.objects.log_create(
        row,
        action=LogEntry.Action.UPDATE,
        changes={name: list(pair) for name, pair in changes.items()},
        additional_data=_who(),
    )


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
    model.get_additional_data = _describer(workspace)  # type: ignore[attr-defined]  # auditlog asks rows for it by this name
    auditlog.register(
        model,
        exclude_fields=list(exclude),
        mask_fields=list(mask),
        m2m_fields=set(many_to_many),
    )


def _describer(path: str | None) -> Callable[[Model], dict[str, str]]:
    """Return what a row tells auditlog about itself: its workspace, and who is at work."""
    if path is None:
        return lambda _row: _who()
    read = attrgetter(path)

    def describe(row: Model) -> dict[str, str]:
        workspace_id = read(row)
        place = {} if workspace_id is None else {"workspace": str(workspace_id)}
        return place | _who()

    return describe
