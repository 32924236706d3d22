"""Workspaces, their members and their roles."""

from uuid import UUID

from django.db.models import Q, QuerySet

from governance import access
from governance.contracts import Actor, Perm
from governance.models import Membership, Role, Workspace


def workspace_list(actor: Actor) -> QuerySet[Workspace]:
    return access.scope(actor, Perm.WORKSPACE_VIEW, Workspace.objects.all(), field="pk")


def workspace_get(actor: Actor, *, ref: str | UUID) -> Workspace:
    """Return the workspace of this id or name, if it exists for the actor.

    Raises:
        NotFoundError: it does not, or there is none.
    """
    workspace = Workspace.objects.filter(_match(ref)).first()
    if workspace is None or not access.sees(actor, workspace):
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
    try:
        return Q(pk=UUID(ref)) if len(ref) == 36 else Q(name=ref)
    except ValueError:
        return Q(name=ref)
