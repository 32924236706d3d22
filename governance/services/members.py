"""Members: who belongs to a workspace, with which roles.

Two rules hold whatever the door: nobody grants what they do not hold, and a workspace that has an
admin keeps one. Changes of one workspace run one after the other, under a lock on its row.
"""

from collections.abc import Callable, Collection, Iterable
from uuid import UUID

from django.db import transaction

from core.errors import NotFoundError
from core.events import publish
from core.redaction import JSON
from governance import access
from governance.access import AccessChanged
from governance.contracts import Actor, AuditAction, AuditSubject, Perm
from governance.errors import LastAdminError, NameTakenError
from governance.models import Membership, Role, User, Workspace
from governance.services.activity import recorded_as
from governance.services.audit import audit_append
from governance.services.roles import ADMIN, refuse_escalation, roles_named


def _no_pause() -> None:
    """The pause point of races; tests put something in its place."""


def member_add(
    actor: Actor, *, workspace: Workspace, username: str, roles: Collection[str]
) -> Membership:
    """Make a user a member with these roles.

    Raises:
        NotFoundError: no active user has that name.
        NameTakenError: already a member.
        EscalationError: a role contains what the actor does not hold.
    """
    with recorded_as(actor), transaction.atomic():
        _lock(workspace.pk)
        access.require(actor, Perm.WORKSPACE_MANAGE, workspace)
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise NotFoundError(
                f"There is no active user {username}.",
                remedy="Ask a superuser to create the user first.",
            )
        if Membership.objects.filter(workspace=workspace, user=user).exists():
            raise NameTakenError(
                f"{username} is already a member of {workspace.name}.",
                remedy="Change the roles of the member instead.",
            )
        granted = roles_named(workspace, roles)
        refuse_escalation(actor, workspace, access.perms_of_roles(granted))
        member = Membership.objects.create(workspace=workspace, user=user)
        member.roles.set(granted)
        access.grants_follow_roles([member])
        publish(AccessChanged(user_ids=frozenset({user.pk})))
        _record(actor, member, before=None, after=_names(granted))
        return member


def membership_set_roles(
    actor: Actor,
    *,
    membership: Membership,
    roles: Collection[str],
    pause: Callable[[], None] = _no_pause,
) -> Membership:
    """Replace the roles of a member. Only what is added must be held by the actor.

    Raises:
        LastAdminError: the member is the only active admin and would stop being one.
    """
    with recorded_as(actor), transaction.atomic():
        _lock(membership.workspace_id)
        row = _fresh(membership)
        access.require(actor, Perm.WORKSPACE_MANAGE, row.workspace)
        wanted = roles_named(row.workspace, roles)
        before = list(row.roles.all())
        added = access.perms_of_roles(wanted) - access.perms_of_roles(before)
        refuse_escalation(actor, row.workspace, added)
        if ADMIN not in {role.name for role in wanted if role.workspace_id is None}:
            _keep_an_admin(row, pause)
        row.roles.set(wanted)
        access.grants_follow_roles([row])
        publish(AccessChanged(user_ids=frozenset({row.user_id})))
        _record(actor, row, before=_names(before), after=_names(wanted))
        return row


def member_remove(
    actor: Actor, *, membership: Membership, pause: Callable[[], None] = _no_pause
) -> None:
    """End a membership and every permission it gave. Members may leave by themselves.

    Raises:
        LastAdminError: the member is the only active admin.
    """
    with recorded_as(actor), transaction.atomic():
        _lock(membership.workspace_id)
        row = _fresh(membership)
        leaves = actor.user_id == row.user_id and actor.scopes is None
        needed = Perm.WORKSPACE_VIEW if leaves else Perm.WORKSPACE_MANAGE
        access.require(actor, needed, row.workspace)
        _keep_an_admin(row, pause)
        before = _names(row.roles.all())
        access.grants_remove(user_id=row.user_id, workspace_id=row.workspace_id)
        row.delete()
        publish(AccessChanged(user_ids=frozenset({row.user_id})))
        _record(actor, row, before=before, after=None)


def _names(roles: Iterable[Role]) -> list[JSON]:
    return [*sorted(role.name for role in roles)]


def _record(
    actor: Actor, member: Membership, *, before: list[JSON] | None, after: list[JSON] | None
) -> None:
    """Append what became of somebody's roles; None: no member."""
    audit_append(
        actor,
        action=AuditAction.PERMISSION_CHANGED,
        workspace_id=member.workspace_id,
        subject=AuditSubject(kind="member", id=str(member.user_id), label=member.user.username),
        payload={"roles_before": before, "roles_after": after},
    )


def _lock(workspace_id: UUID) -> None:
    if Workspace.objects.select_for_update().filter(pk=workspace_id).first() is None:
        raise access.workspace_missing()


def _fresh(membership: Membership) -> Membership:
    row = Membership.objects.select_related("workspace", "user").filter(pk=membership.pk).first()
    if row is None:
        raise NotFoundError(
            "The membership has ended already.", remedy="See the members of the workspace."
        )
    return row


def _keep_an_admin(leaving: Membership, pause: Callable[[], None]) -> None:
    admins = Membership.objects.filter(
        workspace_id=leaving.workspace_id,
        roles__name=ADMIN,
        roles__workspace__isnull=True,
        user__is_active=True,
    )
    if not admins.filter(pk=leaving.pk).exists():
        return
    others = admins.exclude(pk=leaving.pk).exists()
    pause()
    if not others:
        raise LastAdminError(
            f"{leaving.user.username} is the last admin of workspace {leaving.workspace.name}.",
            remedy="Make somebody else an admin first.",
        )
