"""Workspaces, their members and their roles."""

import re
from uuid import UUID

from django.db.models import Q, QuerySet

from governance import access
from governance.contracts import Actor, Perm
from governance.models import Membership, Role, Workspace
from governance.models.workspace import NAME_REGEX

_UUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


def workspace_list(actor: Actor) -> QuerySet[Workspace]:
    return access.scope(actor, Perm.WORKSPACE_VIEW, Workspace.objects.all(), field="pk")


def workspace_get(actor: Actor, *, ref: str | UUID) -> Workspace:
    """Return the workspace of this id or name, if it exists for the actor.

    Raises:
        NotFoundError: it does not, or there is none.
    """
    workspace = Workspace.objects.filter(_match(ref)).first()
    if workspace is None or not access.sees(actor, workspace):
        raise access.workspace_missing(actor)
    return workspace


def workspace_by_name(name: str) -> Workspace | None:
    """Return the workspace of this name, for callers that ask access themselves."""
    return Workspace.objects.filter(name=name).first()


def workspace_by_id(workspace_id: UUID) -> Workspace:
    """Return a workspace the caller knows to exist, and asks access for itself.

    Raises:
        NotFoundError: it was deleted meanwhile.
    """
    workspace = Workspace.objects.filter(pk=workspace_id).first()
    if workspace is None:
        raise access.workspace_missing()
    return workspace


def member_list(actor: Actor, *, workspace: Workspace | None = None) -> QuerySet[Membership]:
    rows = Membership.objects.select_related("user", "workspace").prefetch_related("roles")
    if workspace is not None:
        rows = rows.filter(workspace=workspace)
    return access.scope(actor, Perm.WORKSPACE_VIEW, rows)


def role_list(actor: Actor, *, workspace: Workspace) -> QuerySet[Role]:
    """Return the built-in roles and those of the workspace."""
    access.require(actor, Perm.WORKSPACE_VIEW, workspace)
    return Role.objects.filter(Q(workspace__isnull=True) | Q(workspace=workspace))


def _match(ref: str | UUID) -> Q:
    if isinstance(ref, UUID):
        return Q(pk=ref)
    if _UUID_FORM.match(ref):
        return Q(pk=UUID(ref))
    return Q(name=ref) if NAME_REGEX.match(ref) else Q(pk__in=())


def workspace_ids() -> list[UUID]:
    """Return every workspace there is, for work that the site does for all of them."""
    return list(Workspace.objects.order_by("pk").values_list("pk", flat=True))


def workspaces_permitted(actor: Actor, perm: Perm) -> QuerySet[Workspace]:
    """Return the workspaces in which the actor holds the permission, by name."""
    return access.scope(actor, perm, Workspace.objects.all(), field="pk").order_by("name")
