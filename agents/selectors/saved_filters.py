"""Reading saved filters: one's own, and those shared in workspaces whose runs one may see."""

from uuid import UUID

from django.db.models import Q, QuerySet

from agents.models import SavedFilter
from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm


def saved_filter_list(*, actor: Actor) -> QuerySet[SavedFilter]:
    """Return the filters the actor finds in the list of runs, by name."""
    visible = access.scope(actor, Perm.RUN_VIEW, SavedFilter.objects.all())
    return visible.filter(Q(owner_id=actor.user_id) | Q(is_shared=True))


def saved_filter_get(*, actor: Actor, filter_id: UUID) -> SavedFilter:
    """Return one of them.

    Raises:
        NotFoundError: There is none that the actor sees.
    """
    found = saved_filter_list(actor=actor).filter(pk=filter_id).first()
    if found is None:
        raise NotFoundError("There is no such filter.", remedy="List the filters.")
    return found
