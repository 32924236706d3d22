"""Workspaces: making a tenant and naming it."""

from uuid import UUID

from django.db import transaction

from core.errors import PermissionDeniedError
from core.events import publish
from governance import access
from governance.access import AccessChanged
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.errors import NameTakenError
from governance.models import Membership, Role, Workspace
from governance.models.workspace import NAME_PATTERN
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.roles import ADMIN


def workspace_create(actor: Actor, *, name: str, title: str = "") -> Workspace:
    """Create a workspace; a person who creates one becomes its first admin.

    Raises:
        PermissionDeniedError: only superusers with a token that is not narrowed, and the system.
        NameTakenError: the name exists.
    """
    require_site_admin(actor, "create workspaces")
    NAME_PATTERN(name)
    with recorded_as(actor), transaction.atomic():
        _refuse_taken(name)
        workspace = Workspace.objects.create(name=name, title=title)
        if actor.user_id is not None:
            member = Membership.objects.create(workspace=workspace, user_id=actor.user_id)
            member.roles.add(Role.objects.get(workspace=None, name=ADMIN))
            access.grants_follow_roles([member])
            publish(AccessChanged(user_ids=frozenset({actor.user_id})))
        audit_append(
            actor,
            action=AuditAction.PERMISSION_CHANGED,
            workspace_id=workspace.pk,
            subject=AuditSubject(kind="workspace", id=str(workspace.pk), label=name),
            payload={"first_admin": None if actor.user_id is None else actor.username},
        )
    return workspace


def workspace_update(
    actor: Actor, *, workspace: Workspace, name: str | None = None, title: str | None = None
) -> Workspace:
    """Rename a workspace or change its title; ids and permissions stay."""
    with recorded_as(actor), transaction.atomic():
        access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
        row = Workspace.objects.select_for_update().get(pk=workspace.pk)
        if name is not None and name != row.name:
            NAME_PATTERN(name)
            _refuse_taken(name)
            row.name = name
        if title is not None:
            row.title = title
        row.save(update_fields=["name", "title"])
    return row


def workspace_lock(workspace_id: UUID) -> None:
    """Let changes to what a workspace holds happen one after the other, until the transaction ends.

    Taken before any row of the workspace and before its audit chain, so that no two wait for one
    another. Rows that only refer to the workspace are written meanwhile.
    """
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace_id)


def require_site_admin(actor: Actor, what: str) -> None:
    """Raise PermissionDeniedError unless the actor is a superuser, not narrowed, or the system."""
    narrowed = actor.scopes is not None or actor.workspace_id is not None
    if actor.is_system or (actor.is_superuser and not narrowed):
        return
    if actor.is_superuser:
        raise PermissionDeniedError(
            f"Only a superuser may {what}, and this token is less than its owner: it is bound to a "
            "workspace or to some permissions.",
            remedy="Use a token that is bound to neither, or the console.",
        )
    raise PermissionDeniedError(
        f"Only a superuser may {what}.", remedy="Ask whoever runs this site."
    )


def _refuse_taken(name: str) -> None:
    if Workspace.objects.filter(name=name).exists():
        raise NameTakenError(f"The workspace name {name} is taken.", remedy="Use another name.")
