"""One document at a time: bringing a secret, provider, tool, model, route or budget to what is
written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from agents.models import Model, ModelRoute, Provider
from agents.services.documents import Document, Kind
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
from core.errors import InvalidInputError, NotFoundError
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.budgets import budget_list
from governance.selectors.secrets import secret_list
from governance.services.budgets import budget_create, budget_update
from governance.services.secrets import secret_set
from plugins.selectors import tool_declared
from plugins.services.tools import tool_create, tool_defaults, tool_fields, tool_update

if TYPE_CHECKING:
    from governance.models import Budget, Workspace

_KEPT_KEY = "(sealed)"
_NEW_KEY = "(sealed, another one)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one document; `action` is create, update or unchanged."""

    kind: str
    name: str
    action: str
    diff: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A row as it was (None: there was none) and as it is."""

    before: dict[str, Any] | None
    after: dict[str, Any]


Applier: TypeAlias = "Callable[[Actor, Workspace, Document], Applied]"


def _provider(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
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


def _shown_provider(row: Provider, *, has_new_key: bool) -> dict[str, Any]:
    shown = provider_spec(row)
    if row.sealed_key is not None:
        shown["api_key"] = _NEW_KEY if has_new_key else _KEPT_KEY
    return {"spec": shown}


def _model(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
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


def _route(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
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


def _tool(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
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


class _SecretSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    value: str


def _secret(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    access.require(actor, Perm.SECRET_EDIT, workspace)
    access.require(actor, Perm.SECRET_VIEW, workspace)  # the answer tells what was there
    before = _shown_secret(actor, workspace, document.name)
    spec = document_parse(_SecretSpec, document.spec, "secret")
    secret_set(
        actor,
        workspace=workspace,
        name=document.name,
        value=spec.value,
        description=document.description,
    )
    return Applied(before=before, after=_shown_secret(actor, workspace, document.name) or {})


def _secret_trial(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """As `_secret`, but every value counts as another one: a dry run, which leaves no trace, must
    not tell whether a guess is right."""
    applied = _secret(actor, workspace, document)
    if applied.before is None:
        return applied
    return Applied(before=applied.before, after={**applied.after, "value": "(sealed anew)"})


def _shown_secret(actor: Actor, workspace: "Workspace", name: str) -> dict[str, Any] | None:
    row = secret_list(actor, workspace).filter(name=name).first()
    if row is None:
        return None
    return {"description": row.description, "version": row.version, "value": "(sealed)"}


class _BudgetSpec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    limit_usd: Decimal
    agent: str = ""
    user: str = ""
    period: str = "month"
    time_zone: str = "UTC"
    is_enabled: bool = True


_FIXED = ("kind", "agent", "user", "period", "time_zone")


def _budget(actor: Actor, workspace: "Workspace", document: Document) -> Applied:
    """Bring a budget to what is written; for whom it is and how long it counts is fixed."""
    access.require(actor, Perm.BUDGET_EDIT, workspace)
    spec = document_parse(_BudgetSpec, document.spec, "budget")
    note = document.description or ""
    row = budget_list(actor, workspace).filter(name=document.name).first()
    if row is None:
        made = budget_create(
            actor, workspace=workspace, name=document.name, note=note, **spec.model_dump()
        )
        return Applied(before=None, after=budget_document(made))
    before = budget_document(row)
    fixed = {
        name: before["spec"][name] for name in ("kind", "agent", "user", "period", "time_zone")
    }
    if other := [name for name, value in fixed.items() if value != getattr(spec, name)]:
        raise InvalidInputError(
            f"The {', '.join(other)} of a budget cannot change.",
            remedy="Make another budget.",
            fields={name: [f"is {fixed[name]!r} and cannot change"] for name in other},
        )
    wanted: Any = {"limit_usd": spec.limit_usd, "is_enabled": spec.is_enabled, "note": note}
    changed: Any = {name: value for name, value in wanted.items() if value != getattr(row, name)}
    if changed:
        row = budget_update(actor, budget=row, **changed)
    return Applied(before=before, after=budget_document(row))


def budget_document(row: "Budget") -> dict[str, Any]:
    """Return a budget as a document says it, description and spec."""
    return {
        "description": row.note,
        "spec": {
            "kind": row.kind,
            "limit_usd": row.limit_usd,
            "agent": row.agent_name,
            "user": row.user.username if row.user else "",
            "period": row.period,
            "time_zone": row.time_zone,
            "is_enabled": row.is_enabled,
        },
    }


# What a dry run does instead, where the real thing would tell too much.
TRIALS: Mapping[Kind, Applier] = {Kind.SECRET: _secret_trial}
APPLIERS: Mapping[Kind, Applier] = {
    Kind.SECRET: _secret,
    Kind.PROVIDER: _provider,
    Kind.MODEL: _model,
    Kind.ROUTE: _route,
    Kind.TOOL: _tool,
    Kind.BUDGET: _budget,
}


def diff_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what differs, leaf by leaf, by dotted path; lists count as one value."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        Difference(path=path, before=old.get(path), after=new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        found: list[tuple[str, Any]] = []
        for name, inner in value.items():
            found += _leaves(inner, f"{path}.{name}" if path else str(name))
        return found
    if isinstance(value, Mapping):
        return []
    return [(path, _plain(value))]


def _plain(value: Any) -> Any:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value
