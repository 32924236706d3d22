"""Saved filters: a question about runs under a name, for oneself or for a whole workspace."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from uuid import UUID

from django.db import IntegrityError, transaction

from agents.models import SavedFilter
from agents.selectors.run_filters import filters_from
from agents.selectors.saved_filters import saved_filter_get
from core.errors import ConflictError, InvalidInputError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    from governance.models import Workspace

MAX_NAME: int = 63
MAX_QUERY: int = 2_000


def saved_filter_create(
    *,
    actor: Actor,
    workspace: "Workspace",
    name: str,
    query: str,
    is_shared: bool = False,
) -> SavedFilter:
    """Keep a filter for the actor. Sharing it takes the right to control the workspace's runs.

    Raises:
        InvalidInputError: There is no name, nobody it would belong to, or a filter means nothing.
        ConflictError: The actor has one of this name in the workspace.
    """
    access.require(actor, Perm.RUN_CONTROL if is_shared else Perm.RUN_VIEW, workspace)
    if actor.user_id is None:
        raise InvalidInputError("A filter belongs to a person.", remedy="Sign in as one.")
    if not (called := name.strip()) or len(called) > MAX_NAME:
        raise InvalidInputError(
            f"A filter's name has 1 to {MAX_NAME} characters.", remedy="Give it a short name."
        )
    filters = filters_from(parse_qs(query.lstrip("?")))
    if filters.problems:
        raise InvalidInputError(filters.problems[0], remedy="Mend the filter, then save it.")
    if len(kept := filters.query()) > MAX_QUERY:
        raise InvalidInputError(
            f"A filter has at most {MAX_QUERY} characters.", remedy="Leave some of it out."
        )
    try:
        with recorded_as(actor), transaction.atomic():
            return SavedFilter.objects.create(
                workspace=workspace,
                owner_id=actor.user_id,
                name=called,
                query=kept,
                is_shared=is_shared,
            )
    except IntegrityError:
        raise ConflictError(
            f"You have a filter {called!r} already.", remedy="Choose another name, or delete it."
        ) from None


def saved_filter_delete(*, actor: Actor, filter_id: UUID) -> None:
    """Delete one's own filter, or, as who manages the workspace, one that is shared there.

    Raises:
        NotFoundError: There is none that the actor sees.
        PermissionDeniedError: It is somebody else's.
    """
    found = saved_filter_get(actor=actor, filter_id=filter_id)
    if found.owner_id != actor.user_id:
        access.require(actor, Perm.WORKSPACE_MANAGE, found.workspace_id)
    with recorded_as(actor):
        found.delete()
