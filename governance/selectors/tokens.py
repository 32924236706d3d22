"""API tokens: one's own, and with `token.manage` those bound to a workspace."""

from django.db.models import Q, QuerySet

from governance import access
from governance.contracts import Actor, Perm
from governance.models import ApiToken


def token_list(actor: Actor) -> QuerySet[ApiToken]:
    """Return the tokens the actor may know of, never their secrets.

    A narrowed token sees itself and, with the scope `token.manage`, others within its workspace.
    """
    managed = Q(workspace__in=access.permitted_workspace_ids(actor, Perm.TOKEN_MANAGE))
    if actor.is_superuser and actor.scopes is None and actor.workspace_id is None:
        visible = Q()
    else:
        visible = Q(pk=actor.token_id) | managed | _own(actor)
    return ApiToken.objects.filter(visible).select_related("user", "workspace")


def token_in_use(actor: Actor) -> ApiToken | None:
    """Return the token the actor came with; None for a session."""
    if actor.token_id is None:
        return None
    return ApiToken.objects.select_related("user", "workspace").get(pk=actor.token_id)


def _own(actor: Actor) -> Q:
    if actor.user_id is None or (
        actor.scopes is not None and Perm.TOKEN_MANAGE not in actor.scopes
    ):
        return Q(pk__in=())
    own = Q(user_id=actor.user_id)
    return own if actor.workspace_id is None else own & Q(workspace_id=actor.workspace_id)
