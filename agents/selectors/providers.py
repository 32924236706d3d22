"""Reading providers, their models and the routes between them."""

from typing import TYPE_CHECKING

from django.db.models import QuerySet

from agents.models import Model, ModelRoute, Provider
from governance import access
from governance.contracts import Actor, Perm

if TYPE_CHECKING:
    from governance.models import Workspace


def provider_list(*, actor: Actor, workspace: "Workspace") -> QuerySet[Provider]:
    rows = Provider.objects.filter(workspace=workspace)
    return access.scope(actor, Perm.PROVIDER_VIEW, rows)


def model_list(*, actor: Actor, workspace: "Workspace") -> QuerySet[Model]:
    rows = Model.objects.filter(workspace=workspace).select_related("provider", "fallback")
    return access.scope(actor, Perm.PROVIDER_VIEW, rows)


def route_list(*, actor: Actor, workspace: "Workspace") -> QuerySet[ModelRoute]:
    """Return the routes in the order they are asked."""
    rows = ModelRoute.objects.filter(workspace=workspace).select_related("model")
    return access.scope(actor, Perm.PROVIDER_VIEW, rows)
