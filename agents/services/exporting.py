"""What a workspace holds as the documents that `apply` reads. Keys and secrets are not among it.

Applying what was exported changes nothing, and makes the same in an empty workspace once its
secrets are there. An agent is exported as it is published.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Model as Row
from django.db.models import QuerySet

from agents.models import Agent, Model, ModelRoute, Provider
from agents.services.applied import (
    POLICY_NAME,
    budget_document,
    channel_document,
    policy_document,
)
from agents.services.documents import API_VERSION, SEEING, Kind
from agents.services.models import model_spec
from agents.services.providers import provider_spec
from agents.services.routes import route_spec
from agents.spec import spec_parse
from core.redaction import redact_or_withhold
from governance import access
from governance.contracts import Actor, Perm
from governance.selectors.budgets import budget_list
from governance.selectors.channels import channel_list
from governance.selectors.policies import policy_get, policy_held
from governance.services.known_secrets import secrets_learn
from plugins.selectors import declared_tools
from plugins.services.tools import tool_fields

if TYPE_CHECKING:
    from governance.models import Workspace

_REFERENCE: Final = re.compile(r"(?:[A-Za-z]{1,16} )?\$\{secret:[A-Za-z][A-Za-z0-9_-]{0,62}\}")


def documents_export(
    *,
    actor: Actor,
    workspace: "Workspace",
    kind: Kind | None = None,
    only: Collection[UUID] | None = None,
) -> list[dict[str, Any]]:
    """Return what the workspace holds of one kind, `only` those rows of it, or of all kinds.

    Of all kinds, those the actor may not see are left out.

    Raises:
        PermissionDeniedError: The actor may not see the kind that was asked for.
    """
    if kind is not None:
        access.require(actor, SEEING[kind], workspace)
        kinds = [kind]
    else:
        access.require(actor, Perm.WORKSPACE_VIEW, workspace)
        kinds = [each for each, perm in SEEING.items() if access.can(actor, perm, workspace)]
    secrets_learn([workspace.pk])
    return [
        _plain({"apiVersion": API_VERSION, "kind": each.value, **document})
        for each in kinds
        for document in _READERS[each](actor, workspace, only)
    ]


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return words and numbers as files have them, without the value of any secret.

    Raises:
        ValueError: It could not be redacted, so that it does not leave.
    """
    plain = json.loads(json.dumps(document, default=str))
    redacted = _with_references(plain, redact_or_withhold(plain))
    if not isinstance(redacted, dict):
        raise ValueError(f"A document of {document['kind']} could not be redacted.")
    return redacted


def _with_references(plain: Any, redacted: Any) -> Any:
    """Put references to secrets back, which a name such as Authorization has made suspicious."""
    if isinstance(plain, dict) and isinstance(redacted, dict):
        return {name: _with_references(plain[name], redacted.get(name)) for name in plain}
    if isinstance(plain, list) and isinstance(redacted, list):
        pairs = zip(plain, redacted, strict=True)
        return [_with_references(before, after) for before, after in pairs]
    return plain if isinstance(plain, str) and _REFERENCE.fullmatch(plain) else redacted


_Documents = Iterator[dict[str, Any]]


def _chosen(rows: QuerySet[Any], only: Collection[UUID] | None) -> QuerySet[Any]:
    return rows if only is None else rows.filter(pk__in=only)


def _named(row: Row, spec: dict[str, Any], description: str = "") -> dict[str, Any]:
    about = {"description": description} if description else {}
    return {"metadata": {"name": row.name, **about}, "spec": spec}  # type: ignore[attr-defined]  # all these have names


def _providers(_: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    for row in _chosen(Provider.objects.filter(workspace=workspace).order_by("name"), only):
        yield _named(row, provider_spec(row))


def _tools(_: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    rows = declared_tools(workspace.pk, with_disabled=True)
    for row in _chosen(rows.order_by("name"), only):
        yield _named(row, tool_fields(row))


def _models(_: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    rows = Model.objects.filter(workspace=workspace).select_related("provider", "fallback")
    for row in _chosen(rows.order_by("name"), only):
        yield _named(row, model_spec(row))


def _routes(_: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    """A route has no name: one is made of the words it looks for, which tell which one is meant."""
    rows = ModelRoute.objects.filter(workspace=workspace).select_related("model")
    for row in _chosen(rows.order_by("priority", "pk"), only):
        yield {"metadata": {"name": f"route-{row.pk.hex[-12:]}"}, "spec": route_spec(row)}


def _budgets(actor: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    for row in _chosen(budget_list(actor, workspace).order_by("name"), only):
        shown = budget_document(row)
        yield _named(row, shown["spec"], shown["description"])


def _channels(actor: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    is_editor = access.can(actor, Perm.CHANNEL_EDIT, workspace)
    for row in _chosen(channel_list(actor, workspace).order_by("name"), only):
        yield _named(row, channel_document(row, is_editor=is_editor))


def _policy(actor: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    """A workspace has one policy: what is in force is exported, no draft."""
    held = policy_held(actor, workspace)
    if held is None or (only is not None and policy_get(actor, workspace).pk not in only):
        return
    yield {"metadata": {"name": POLICY_NAME}, "spec": policy_document(held)}


def _agents(_: Actor, workspace: "Workspace", only: Collection[UUID] | None) -> _Documents:
    rows = Agent.objects.filter(workspace=workspace, published__isnull=False)
    for row in _chosen(rows.select_related("published").order_by("name"), only):
        spec = spec_parse(row.published.spec).model_dump(mode="json", exclude_defaults=True)
        yield _named(row, spec, row.description)


_Reader = Callable[[Actor, "Workspace", Collection[UUID] | None], _Documents]
_READERS: Final[Mapping[Kind, _Reader]] = {
    Kind.PROVIDER: _providers,
    Kind.TOOL: _tools,
    Kind.MODEL: _models,
    Kind.ROUTE: _routes,
    Kind.BUDGET: _budgets,
    Kind.CHANNEL: _channels,
    Kind.POLICY: _policy,
    Kind.AGENT: _agents,
}
