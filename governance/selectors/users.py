"""Users: all of them for superusers, else those one shares a workspace with."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q, QuerySet

from governance import access
from governance.contracts import Actor, Perm
from governance.models import Membership, User


def user_list(actor: Actor) -> QuerySet[User]:
    """Return the users whose names the actor may know: colleagues and oneself."""
    if actor.is_superuser and actor.scopes is None and actor.workspace_id is None:
        return User.objects.all()
    shared = Membership.objects.filter(
        workspace__in=access.permitted_workspace_ids(actor, Perm.WORKSPACE_VIEW)
    )
    return User.objects.filter(Q(pk=actor.user_id) | Q(pk__in=shared.values("user_id")))


def memberships_of(user_id: UUID) -> QuerySet[Membership]:
    """Return where a person is a member, with the roles there; asked for oneself."""
    rows = Membership.objects.filter(user_id=user_id).select_related("workspace")
    return rows.prefetch_related("roles").order_by("workspace__name")


def user_names(user_ids: Iterable[str]) -> dict[str, str]:
    """Return names by id, of those who are still there; ids are texts as usage has them.

    For callers that have asked whether who spent what may be seen.
    """
    found = User.objects.filter(pk__in=[each for each in user_ids if each])
    return {str(pk): name for pk, name in found.values_list("pk", "username")}
