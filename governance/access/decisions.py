"""The decision point: every "may they" and every list goes through here. The default is no.

What a user may do in a workspace is the union of the guardian rows of the user and of the user's
groups, narrowed by the token in use. A superuser holds every permission, narrowed by the token all
the same. An inactive user, an unknown permission and a missing membership mean no.

The system actor holds every permission, because workers act where no person asked; but it has no
lists: `scope` refuses it, so that no interface can show everything by acting for nobody.
"""

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, Q, QuerySet

from core.errors import NotFoundError, PermissionDeniedError
from governance.contracts import Actor, Perm
from governance.models import (
    User,
    Workspace,
    WorkspaceGroupPermission,
    WorkspaceUserPermission,
)

M = TypeVar("M", bound=Model)

EVERYTHING = frozenset(Perm)
_BY_CODENAME = {perm.codename: perm for perm in Perm}


def known_perm(perm: Perm | str) -> Perm | None:
    """Return the permission, or None when there is no such one."""
    try:
        return Perm(perm)
    except ValueError:
        return None


def narrowed(actor: Actor, held: frozenset[Perm], workspace_id: UUID) -> frozenset[Perm]:
    """Return what is left of `held` after the actor's token has narrowed it."""
    if actor.workspace_id is not None and actor.workspace_id != workspace_id:
        return frozenset()
    return held if actor.scopes is None else held & actor.scopes


def held_by_user(user_id: UUID, workspace_id: UUID) -> frozenset[Perm]:
    """Return what the user's own rows and groups give in one workspace, in one query."""
    own = WorkspaceUserPermission.objects.filter(
        user_id=user_id, user__is_active=True, content_object_id=workspace_id
    ).values_list("permission__codename", flat=True)
    by_group = WorkspaceGroupPermission.objects.filter(
        group__user=user_id, group__user__is_active=True, content_object_id=workspace_id
    ).values_list("permission__codename", flat=True)
    return frozenset(_BY_CODENAME[name] for name in own.union(by_group) if name in _BY_CODENAME)


def held(actor: Actor, workspace_id: UUID) -> frozenset[Perm]:
    """Return what the actor's user holds in a workspace, before the token narrows it."""
    if actor.is_system or actor.is_superuser:
        return EVERYTHING
    if actor.user_id is None:
        return frozenset()
    return held_by_user(actor.user_id, workspace_id)


def permissions_of(actor: Actor, workspace: Workspace | UUID) -> frozenset[Perm]:
    """Return everything the actor may do in the workspace."""
    workspace_id = id_of(workspace)
    return narrowed(actor, held(actor, workspace_id), workspace_id)


def permissions_by_workspace(actor: Actor) -> dict[UUID, frozenset[Perm]]:
    """Return what the actor may do in each workspace it belongs to, in one query.

    A superuser gets the workspaces it is a member of, with everything. Workspaces where the token
    leaves nothing are left out.
    """
    own = WorkspaceUserPermission.objects.filter(user_id=actor.user_id, user__is_active=True)
    by_group = WorkspaceGroupPermission.objects.filter(
        group__user=actor.user_id, group__user__is_active=True
    )
    columns = ("content_object_id", "permission__codename")
    found: dict[UUID, set[Perm]] = {}
    for workspace_id, codename in own.values_list(*columns).union(by_group.values_list(*columns)):
        if codename in _BY_CODENAME:
            found.setdefault(workspace_id, set()).add(_BY_CODENAME[codename])
    result: dict[UUID, frozenset[Perm]] = {}
    for workspace_id, perms in found.items():
        everything = EVERYTHING if actor.is_superuser else frozenset(perms)
        if left := narrowed(actor, everything, workspace_id):
            result[workspace_id] = left
    return result


def permissions_somewhere(actor: Actor) -> frozenset[Perm]:
    """Return what the actor may do in at least one workspace, in one query."""
    if actor.is_system or actor.user_id is None:
        return frozenset()
    if not actor.is_superuser:
        return frozenset().union(*permissions_by_workspace(actor).values())
    within = {} if actor.workspace_id is None else {"pk": actor.workspace_id}
    if not Workspace.objects.filter(**within).exists():
        return frozenset()
    return EVERYTHING if actor.scopes is None else EVERYTHING & actor.scopes


def can(actor: Actor, perm: Perm | str, workspace: Workspace | UUID | None) -> bool:
    """Say whether the actor may do this in the workspace."""
    known = known_perm(perm)
    return known is not None and workspace is not None and known in permissions_of(actor, workspace)


def sees(actor: Actor, workspace: Workspace | UUID) -> bool:
    """Say whether the workspace exists for the actor.

    Scopes do not count here: who holds a narrow token of a member is told what the token lacks,
    not that the workspace is missing. A token bound to another workspace does count.
    """
    workspace_id = id_of(workspace)
    if actor.workspace_id is not None and actor.workspace_id != workspace_id:
        return False
    return Perm.WORKSPACE_VIEW in held(actor, workspace_id)


def require(actor: Actor, perm: Perm | str, workspace: Workspace | UUID | None) -> None:
    """Return when the actor may do this in the workspace.

    Raises:
        PermissionDeniedError: the actor sees the workspace but lacks the permission.
        NotFoundError: the workspace does not exist for the actor; the same for a missing one.
    """
    if can(actor, perm, workspace):
        return
    if workspace is None or not sees(actor, workspace):
        raise workspace_missing(actor)
    raise denied(actor, perm, workspace)


def denied(actor: Actor, perm: Perm | str, workspace: Workspace | UUID) -> PermissionDeniedError:
    """Return the error that names the permission, the workspace and the remedy."""
    name = workspace.name if isinstance(workspace, Workspace) else _name(workspace)
    known = known_perm(perm)
    by_scope = actor.scopes is not None and known is not None and known not in actor.scopes
    remedy = (
        f"The token's scopes leave it out; issue one with the scope {perm}."
        if by_scope
        else "Ask an admin of the workspace for a role that includes it."
    )
    return PermissionDeniedError(
        f"This needs the permission {perm} in workspace {name}.",
        remedy=remedy,
        detail={"permission": str(perm), "workspace": name},
    )


def workspace_missing(actor: Actor | None = None) -> NotFoundError:
    """Say the same of a workspace that is not there and of one the actor may not know of."""
    by_token = actor is not None and actor.workspace_id is not None
    return NotFoundError(
        "There is no such workspace, or you are not a member of it.",
        remedy="Check its name. Your token is bound to one workspace and sees no other: for others"
        " use one that is not."
        if by_token
        else "Check its name, or ask one of its admins to add you.",
    )


def permitted_workspace_ids(actor: Actor, perm: Perm | str) -> QuerySet[Any, UUID]:
    """Return the ids of the workspaces where the actor may do this, as one lazy subquery."""
    known = known_perm(perm)
    nothing = Workspace.objects.none().values_list("pk", flat=True)
    if known is None or actor.is_system:
        return nothing
    if actor.scopes is not None and known not in actor.scopes:
        return nothing
    ids: QuerySet[Any, UUID]
    if actor.is_superuser:
        ids = Workspace.objects.order_by().values_list("pk", flat=True)
    elif actor.user_id is None:
        return nothing
    else:
        own = WorkspaceUserPermission.objects.filter(
            user_id=actor.user_id, user__is_active=True, permission__codename=known.codename
        ).values("content_object_id")
        by_group = WorkspaceGroupPermission.objects.filter(
            group__user=actor.user_id,
            group__user__is_active=True,
            permission__codename=known.codename,
        ).values("content_object_id")
        ids = (
            Workspace.objects.filter(Q(pk__in=own) | Q(pk__in=by_group))
            .order_by()
            .values_list("pk", flat=True)
        )
    return ids if actor.workspace_id is None else ids.filter(pk=actor.workspace_id)


def scope(
    actor: Actor, perm: Perm | str, queryset: QuerySet[M], *, field: str = "workspace"
) -> QuerySet[M]:
    """Return the rows of `queryset` in workspaces where the actor may do this.

    `field` is the path to the workspace: a foreign key, a UUID column, a path such as
    `agent__workspace`, or `pk` for workspaces themselves. One subquery, whatever the number of
    rows.

    Raises:
        PermissionDeniedError: the actor is the system; it has no lists.
    """
    if actor.is_system:
        raise PermissionDeniedError(
            "The system acts for nobody and has no lists.",
            remedy="Query the rows directly in worker code; lists belong to people.",
        )
    known = known_perm(perm)
    in_scopes = known is not None and (actor.scopes is None or known in actor.scopes)
    if actor.is_superuser and in_scopes:
        if actor.workspace_id is None:
            return queryset
        return queryset.filter(**{field: actor.workspace_id})
    return queryset.filter(**{f"{field}__in": permitted_workspace_ids(actor, perm)})


def may_see_payload(actor: Actor, workspace: Workspace | UUID | None) -> bool:
    """Say whether inputs, messages, arguments and results may be shown to the actor."""
    return can(actor, Perm.RUN_PAYLOAD, workspace)


def payload_workspaces(actor: Actor, workspace_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Return those of the workspaces where `may_see_payload` holds, in one query or none."""
    mentioned = set(workspace_ids)
    if not mentioned:
        return frozenset()
    return frozenset(permitted_workspace_ids(actor, Perm.RUN_PAYLOAD).filter(pk__in=mentioned))


def actor_of_user(user: User) -> Actor:
    """Return the actor of a signed-in person.

    An inactive user is never a superuser here and holds nothing.
    """
    return Actor(
        user_id=user.pk,
        username=user.username,
        is_superuser=user.is_superuser and user.is_active,
    )


def actor_of_user_id(user_id: UUID) -> Actor:
    """Return the actor of a stored user, as the user is now.

    Raises:
        NotFoundError: there is no such user.
    """
    try:
        return actor_of_user(User.objects.get(pk=user_id))
    except ObjectDoesNotExist:
        raise NotFoundError("There is no such user.") from None


def id_of(workspace: Workspace | UUID) -> UUID:
    return workspace.pk if isinstance(workspace, Workspace) else workspace


def _name(workspace_id: UUID) -> str:
    name = Workspace.objects.filter(pk=workspace_id).values_list("name", flat=True).first()
    return str(workspace_id) if name is None else name
