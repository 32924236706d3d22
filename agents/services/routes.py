"""Routes: which model answers an input when the agent names none."""

from typing import TYPE_CHECKING, Annotated, Any, TypedDict, Unpack

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field

from agents.models import Model, ModelRoute
from agents.services.names import named
from agents.spec import document_parse
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    from governance.models import Workspace


class RouteSpec(BaseModel):
    """`if_contains`: one of these words is in the input; an empty word is in every input."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    priority: int = Field(default=100, ge=-1_000_000, le=1_000_000)
    if_contains: list[Annotated[str, Field(max_length=200)]] = Field(min_length=1, max_length=50)
    model: str = Field(min_length=1, max_length=100)


class RouteFields(TypedDict, total=False):
    priority: int
    if_contains: list[str]
    model: str


def route_create(
    *, actor: Actor, workspace: "Workspace", **fields: Unpack[RouteFields]
) -> ModelRoute:
    """Create a route.

    Raises:
        InvalidInputError: there is no such model, or no words.
    """
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    spec = document_parse(RouteSpec, fields, "route")
    with recorded_as(actor), transaction.atomic():
        row = ModelRoute(workspace=workspace)
        _take(row, spec)
        row.save()
    return row


def route_update(*, actor: Actor, route: ModelRoute, **fields: Unpack[RouteFields]) -> ModelRoute:
    """Change what is given; runs that have begun keep their model."""
    access.require(actor, Perm.PROVIDER_EDIT, route.workspace_id)
    with recorded_as(actor), transaction.atomic():
        ModelRoute.objects.select_for_update().filter(pk=route.pk).first()
        row = ModelRoute.objects.select_related("model").get(pk=route.pk)
        before = route_spec(row)
        _take(row, document_parse(RouteSpec, {**before, **fields}, "route"))
        if route_spec(row) != before:
            row.save()
    return row


def route_delete(*, actor: Actor, route: ModelRoute) -> None:
    """Delete a route."""
    access.require(actor, Perm.PROVIDER_EDIT, route.workspace_id)
    with recorded_as(actor), transaction.atomic():
        ModelRoute.objects.get(pk=route.pk).delete()


def route_spec(row: ModelRoute) -> dict[str, Any]:
    """Return what is stored of a route in the form it is given in."""
    return {
        "priority": row.priority,
        "if_contains": list(row.if_contains),
        "model": row.model.name,
    }


def _take(row: ModelRoute, spec: RouteSpec) -> None:
    row.model = named(
        Model.objects.filter(workspace_id=row.workspace_id),
        spec.model,
        field="model",
        sentence=f"There is no model {spec.model!r} in this workspace.",
    )
    row.priority = spec.priority
    row.if_contains = list(spec.if_contains)
