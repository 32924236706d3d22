"""Roles: named sets of permissions. Built-in ones mirror the code, others belong to a workspace."""

from collections.abc import Collection, Sequence
from uuid import UUID

from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.db import transaction

from core.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from core.events import publish
from core.redaction import JSON
from governance import access
from governance.access import AccessChanged
from governance.contracts import BUILTIN_ROLES, SYSTEM, Actor, AuditAction, AuditSubject, Perm
from governance.errors import EscalationError, NameTakenError
from governance.models import Membership, Role, Workspace
from governance.models.workspace import NAME_PATTERN
from governance.services.activity import recorded_as
from governance.services.audit import audit_append

ADMIN = "admin"


def builtin_roles_sync() -> None:
    """Make the built-in roles equal to the table in code, and all grants to their roles.

    Runs after every migration; idempotent. Custom roles lose permissions that no longer exist.
    """
    create_permissions(apps.get_app_config("governance"), verbosity=0)
    known = {perm.value for perm in Perm}
    changed: list[UUID] = []
    with transaction.atomic():
        for name, perms in BUILTIN_ROLES.items():
            values = sorted(perm.value for perm in perms)
            role, created = Role.objects.get_or_create(
                workspace=None, name=name, defaults={"permissions": values}
            )
            if not created and role.permissions != values:
                _replace(role, values)
                changed.append(role.pk)
        for role in Role.objects.filter(workspace__isnull=False):
            kept = [value for value in role.permissions if value in known]
            if kept != role.permissions:
                _replace(role, kept)
                changed.append(role.pk)
        _regrant(changed)


def role_create(
    actor: Actor, *, workspace: Workspace, name: str, permissions: Collection[str]
) -> Role:
    """Create a role of a workspace from permissions the actor holds there.

    Raises:
        EscalationError: a permission the actor does not hold.
        NameTakenError: the name of a built-in or another role.
    """
    with recorded_as(actor), transaction.atomic():
        _lock(workspace)
        access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
        perms = perms_from(permissions)
        refuse_escalation(actor, workspace, perms)
        _refuse_taken(workspace, name)
        role = Role.objects.create(workspace=workspace, name=name, permissions=_values(perms))
        _record(actor, role, before=None, after=role.permissions)
        return role


def role_update(
    actor: Actor,
    *,
    role: Role,
    name: str | None = None,
    permissions: Collection[str] | None = None,
) -> Role:
    """Rename a custom role or change what it contains; its members' grants follow at once.

    Only what is added must be held by the actor. Built-in roles do not change.
    """
    workspace = _custom(role)
    with recorded_as(actor), transaction.atomic():
        _lock(workspace)
        access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
        role = Role.objects.select_for_update().get(pk=role.pk)
        before = role.permissions
        if name is not None and name != role.name:
            _refuse_taken(workspace, name)
            role.name = name
        if permissions is not None:
            perms = perms_from(permissions)
            refuse_escalation(actor, workspace, perms - access.perms_of_roles([role]))
            role.permissions = _values(perms)
        role.save(update_fields=["name", "permissions"])
        _regrant([role.pk])
        _record(actor, role, before=before, after=role.permissions)
        return role


def role_delete(actor: Actor, *, role: Role) -> None:
    """Delete a custom role; its members lose what only it gave them."""
    workspace = _custom(role)
    with recorded_as(actor), transaction.atomic():
        _lock(workspace)
        access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
        members = list(Membership.objects.filter(roles=role))
        _record(actor, role, before=role.permissions, after=None)
        role.delete()
        access.grants_follow_roles(members)
        publish(AccessChanged(user_ids=frozenset(member.user_id for member in members)))


def roles_named(workspace: Workspace, names: Collection[str]) -> list[Role]:
    """Return the built-in and custom roles of these names.

    Raises:
        InvalidInputError: a name that no role has here.
    """
    wanted = set(names)
    found = list(
        Role.objects.filter(name__in=wanted, workspace__isnull=True)
        | Role.objects.filter(name__in=wanted, workspace=workspace)
    )
    if missing := wanted - {role.name for role in found}:
        sentence = f"There is no role {', '.join(sorted(missing))} in workspace {workspace.name}."
        raise InvalidInputError(
            sentence, remedy="See the workspace's roles.", fields={"roles": [sentence]}
        )
    return found


def perms_from(values: Collection[str]) -> frozenset[Perm]:
    """Return the permissions of these values.

    Raises:
        InvalidInputError: naming every value that is none.
    """
    known = {perm.value for perm in Perm}
    if unknown := sorted(str(value) for value in values if value not in known):
        sentence = f"Unknown permission: {', '.join(unknown)}."
        raise InvalidInputError(
            sentence,
            remedy=f"Known: {', '.join(sorted(known))}.",
            fields={"permissions": [sentence]},
        )
    return frozenset(Perm(value) for value in values)


def refuse_escalation(actor: Actor, workspace: Workspace, granted: Collection[Perm]) -> None:
    """Raise EscalationError when the actor would give away what it does not hold itself."""
    missing = frozenset(granted) - access.permissions_of(actor, workspace)
    if missing:
        names = ", ".join(sorted(missing))
        raise EscalationError(
            f"You cannot grant what you do not hold in workspace {workspace.name}: {names}.",
            remedy="Ask somebody who holds it.",
            detail={"missing": sorted(missing)},
        )


def _replace(role: Role, permissions: list[str]) -> None:
    """Change what a role contains because the code has changed."""
    before, role.permissions = role.permissions, permissions
    role.save(update_fields=["permissions"])
    _record(SYSTEM, role, before=before, after=permissions)


def _record(actor: Actor, role: Role, *, before: list[str] | None, after: list[str] | None) -> None:
    """Append what a role contains now; None: there is no such role."""
    payload: dict[str, JSON] = {
        "permissions_before": None if before is None else [*before],
        "permissions_after": None if after is None else [*after],
    }
    audit_append(
        actor,
        action=AuditAction.PERMISSION_CHANGED,
        workspace_id=role.workspace_id,
        subject=AuditSubject(kind="role", id=str(role.pk), label=role.name),
        payload=payload,
    )


def _lock(workspace: Workspace) -> None:
    """Serialise changes of who may do what in one workspace (SQLite locks the whole file)."""
    if Workspace.objects.select_for_update().filter(pk=workspace.pk).first() is None:
        raise NotFoundError("The workspace is gone.")


def _custom(role: Role) -> Workspace:
    if role.workspace is None:
        raise PermissionDeniedError(
            f"The role {role.name} is built in and does not change.",
            remedy="Create a role of the workspace instead.",
        )
    return role.workspace


def _refuse_taken(workspace: Workspace, name: str) -> None:
    NAME_PATTERN(name)
    taken = Role.objects.filter(name=name, workspace=workspace).exists()
    if taken or name in BUILTIN_ROLES:
        raise NameTakenError(
            f"Workspace {workspace.name} already has a role {name}.", remedy="Use another name."
        )


def _values(perms: Collection[Perm]) -> Sequence[str]:
    return sorted(perm.value for perm in perms)


def _regrant(role_ids: Collection[UUID]) -> None:
    if not role_ids:
        return
    members = list(
        Membership.objects.filter(roles__in=role_ids).distinct().prefetch_related("roles")
    )
    access.grants_follow_roles(members)
    publish(AccessChanged(user_ids=frozenset(member.user_id for member in members)))
