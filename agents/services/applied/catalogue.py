"""Providers, models, routes and tools, brought to what their documents say."""

from typing import TYPE_CHECKING, Any

from agents.models import Model, ModelRoute, Provider
from agents.services.applied.changes import Applied
from agents.services.documents import Document
from agents.services.models import ModelSpec, model_create, model_spec, model_update
from agents.services.providers import (
    ProviderSpec,
    provider_create,
    provider_has_key,
    provider_spec,
    provider_update,
)
from agents.services.routes import RouteSpec, route_create, route_spec, route_update
from agents.spec import document_parse
from core.errors import NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from plugins.selectors import tool_declared
from plugins.services.tools import tool_create, tool_defaults, tool_fields, tool_update

if TYPE_CHECKING:
    from governance.models import Workspace

_KEPT_KEY = "(sealed)"
_NEW_KEY = "(sealed, another one)"


def provider_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    row = Provider.objects.filter(workspace=workspace, name=document.name).first()
    spec = document_parse(ProviderSpec, document.spec, "provider")
    given: Any = spec.model_dump(mode="json")
    if spec.api_key is None:
        del given["api_key"]
    if row is None:
        made = provider_create(actor=actor, workspace=workspace, name=document.name, **given)
        return Applied(before=None, after=_shown_provider(made, has_new_key=False))
    before = _shown_provider(row, has_new_key=False)
    is_new = bool(spec.api_key) and not provider_has_key(row, spec.api_key or "")
    if not is_new and spec.api_key:
        # The key is given again, so it may go to another address as well.
        given["api_key"] = spec.api_key
    changed = provider_update(actor=actor, provider=row, **given)
    return Applied(
        before=before,
        after=_shown_provider(changed, has_new_key=is_new and row.sealed_key is not None),
    )


def provider_tried(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """As `provider_applied`, but every key counts as another one: a dry run confirms no guess."""
    applied = provider_applied(actor, workspace, document)
    if applied.before is None or "api_key" not in applied.before["spec"]:
        return applied
    if not document.spec.get("api_key"):
        return applied
    spec = {**applied.after["spec"], "api_key": _NEW_KEY}
    return Applied(before=applied.before, after={**applied.after, "spec": spec})


def _shown_provider(row: Provider, *, has_new_key: bool) -> dict[str, Any]:
    shown = provider_spec(row)
    if row.sealed_key is not None:
        shown["api_key"] = _NEW_KEY if has_new_key else _KEPT_KEY
    return {"spec": shown}


def model_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    spec: Any = document_parse(ModelSpec, document.spec, "model").model_dump(exclude_unset=True)
    defaults: Any = {
        name: field.get_default(call_default_factory=True)
        for name, field in ModelSpec.model_fields.items()
        if not field.is_required()
    }
    given = {**defaults, **spec}
    given["options"] = dict(document.spec.get("options") or {})
    row = (
        Model.objects.select_related("provider", "fallback")
        .filter(workspace=workspace, name=document.name)
        .first()
    )
    if row is None:
        made = model_create(actor=actor, workspace=workspace, name=document.name, **given)
        return Applied(before=None, after={"spec": model_spec(made)})
    before = {"spec": model_spec(row)}
    return Applied(
        before=before, after={"spec": model_spec(model_update(actor=actor, model=row, **given))}
    )


def route_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """A route has no name of its own: the words it looks for tell which one is meant."""
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    given: Any = document_parse(RouteSpec, document.spec, "route").model_dump()
    words = sorted(given["if_contains"])
    rows = ModelRoute.objects.select_related("model").filter(workspace=workspace)
    row = next((each for each in rows if sorted(each.if_contains) == words), None)
    if row is None:
        made = route_create(actor=actor, workspace=workspace, **given)
        return Applied(before=None, after={"spec": route_spec(made)})
    given["if_contains"] = list(row.if_contains)
    before = {"spec": route_spec(row)}
    return Applied(
        before=before, after={"spec": route_spec(route_update(actor=actor, route=row, **given))}
    )


def tool_applied(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    access.require(actor, Perm.TOOL_EDIT, workspace)
    given: Any = {**tool_defaults(), **document.spec}
    try:
        row = tool_declared(actor, workspace, document.name)
    except NotFoundError:
        made = tool_create(actor=actor, workspace=workspace, name=document.name, **given)
        return Applied(before=None, after={"spec": tool_fields(made)})
    before = {"spec": tool_fields(row)}
    return Applied(
        before=before, after={"spec": tool_fields(tool_update(actor=actor, tool=row, **given))}
    )
