"""Grants: guardian rows kept equal to what roles say. Only services of governance call this."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType

from governance.contracts import Perm
from governance.models import Membership, Role, Workspace, WorkspaceUserPermission


def perms_of_roles(roles: Iterable[Role]) -> frozenset[Perm]:
    """Return the union of what the roles contain; names no longer known are left out."""
    values = {value for role in roles for value in role.permissions}
    return frozenset(perm for perm in Perm if perm.value in values)


def grants_follow_roles(memberships: Iterable[Membership]) -> None:
    """Make the guardian rows of these memberships equal to their roles.

    Adds and removes only the difference. Call it in the transaction that changed the roles.
    """
    wanted_ids = _permission_ids()
    for membership in memberships:
        wanted = {wanted_ids[perm] for perm in perms_of_roles(membership.roles.all())}
        _replace(membership.user_id, membership.workspace_id, wanted)


def grants_remove(*, user_id: UUID, workspace_id: UUID) -> None:
    """Remove every permission of the user on the workspace."""
    _replace(user_id, workspace_id, set())


def _replace(user_id: UUID, workspace_id: UUID, wanted: set[int]) -> None:
    rows = WorkspaceUserPermission.objects.filter(user_id=user_id, content_object_id=workspace_id)
    present = set(rows.values_list("permission_id", flat=True))
    if gone := present - wanted:
        rows.filter(permission_id__in=gone).delete()
    WorkspaceUserPermission.objects.bulk_create(
        WorkspaceUserPermission(
            user_id=user_id, content_object_id=workspace_id, permission_id=permission_id
        )
        for permission_id in sorted(wanted - present)
    )


def _permission_ids() -> Mapping[Perm, int]:
    content_type = ContentType.objects.get_for_model(Workspace)
    ids = dict(Permission.objects.filter(content_type=content_type).values_list("codename", "pk"))
    return {perm: ids[perm.codename] for perm in Perm}
