"""Models: names agents use, what the vendor calls them, what they cost, who stands in for them."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field

from agents.contracts import VersionState
from agents.models import AgentVersion, Model, ModelRoute, Provider
from agents.services.names import model_name_check, name_free, named
from agents.spec import OptionsSpec, document_parse
from core.errors import ConflictError, InvalidInputError
from governance import access
from governance.contracts import Actor, Perm
from governance.services.activity import recorded_as

if TYPE_CHECKING:
    from governance.models import Workspace


def _price() -> Any:
    return Field(default=None, ge=0, max_digits=12, decimal_places=6, strict=False)


class ModelSpec(BaseModel):
    """`provider` and `fallback` are names in the workspace; prices are dollars a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    provider: str = Field(min_length=1, max_length=63)
    vendor_name: str = Field(min_length=1, max_length=200)
    options: OptionsSpec = OptionsSpec()
    fallback: str | None = Field(default=None, max_length=100)
    input_price_usd: Decimal | None = _price()
    output_price_usd: Decimal | None = _price()
    cache_read_price_usd: Decimal | None = _price()
    cache_write_price_usd: Decimal | None = _price()
    is_enabled: bool = True


class ModelFields(TypedDict, total=False):
    provider: str
    vendor_name: str
    options: dict[str, Any]
    fallback: str | None
    input_price_usd: Decimal | None
    output_price_usd: Decimal | None
    cache_read_price_usd: Decimal | None
    cache_write_price_usd: Decimal | None
    is_enabled: bool


_PRICES = ("input_price_usd", "output_price_usd", "cache_read_price_usd", "cache_write_price_usd")


def model_create(
    *, actor: Actor, workspace: "Workspace", name: str, **fields: Unpack[ModelFields]
) -> Model:
    """Create a model of a provider.

    Raises:
        NameTakenError: the workspace has a model of this name.
        InvalidInputError: something given cannot work.
    """
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    model_name_check(name)
    spec = document_parse(ModelSpec, fields, "model")
    with recorded_as(actor), transaction.atomic():
        name_free(Model.objects.filter(workspace=workspace), name, "model")
        row = Model(workspace=workspace, name=name)
        _take(row, spec)
        row.save()
    return row


def model_update(*, actor: Actor, model: Model, **fields: Unpack[ModelFields]) -> Model:
    """Change what is given; runs that have begun keep what they were started with."""
    access.require(actor, Perm.PROVIDER_EDIT, model.workspace_id)
    with recorded_as(actor), transaction.atomic():
        Model.objects.select_for_update().filter(pk=model.pk).first()
        row = Model.objects.select_related("provider", "fallback").get(pk=model.pk)
        before = model_spec(row)
        _take(row, document_parse(ModelSpec, {**before, **fields}, "model"))
        if model_spec(row) != before:
            row.save()
    return row


def model_delete(*, actor: Actor, model: Model) -> None:
    """Delete a model that neither a route nor a published agent names.

    Raises:
        ConflictError: one does.
    """
    access.require(actor, Perm.PROVIDER_EDIT, model.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Model.objects.select_for_update().get(pk=model.pk)
        users = _users(row)
        if users:
            raise ConflictError(
                f"The model {row.name} is used by {', '.join(users)}.",
                remedy="Give them another model first; or switch this one off.",
            )
        row.delete()


def model_spec(row: Model) -> dict[str, Any]:
    """Return what is stored of a model in the form it is given in."""
    return {
        "provider": row.provider.name,
        "vendor_name": row.vendor_name,
        "options": dict(row.options),
        "fallback": None if row.fallback is None else row.fallback.name,
        **{name: getattr(row, name) for name in _PRICES},
        "is_enabled": row.is_enabled,
    }


def _users(row: Model) -> list[str]:
    routes = ModelRoute.objects.filter(model=row).count()
    found = [f"{routes} route(s)"] if routes else []
    versions = AgentVersion.objects.filter(
        agent__workspace_id=row.workspace_id,
        agent__published__isnull=False,
        state=VersionState.PUBLISHED.value,
        spec__model=row.name,
    ).select_related("agent")
    names = sorted(
        {f"agent {each.agent.name}" for each in versions if each.agent.published_id == each.pk}
    )
    return found + names[:5]


def _take(row: Model, spec: ModelSpec) -> None:
    row.provider = _provider(row, spec.provider)
    row.fallback = _fallback(row, spec.fallback)
    row.vendor_name = spec.vendor_name
    row.options = spec.options.model_dump(mode="json", exclude_unset=True)
    if (spec.input_price_usd is None) != (spec.output_price_usd is None):
        sentence = "Give both the input and the output price, or neither."
        missing = "input_price_usd" if spec.input_price_usd is None else "output_price_usd"
        raise InvalidInputError(sentence, fields={missing: [sentence]})
    for name in _PRICES:
        setattr(row, name, getattr(spec, name))
    row.is_enabled = spec.is_enabled


def _provider(row: Model, name: str) -> Provider:
    return named(
        Provider.objects.filter(workspace_id=row.workspace_id),
        name,
        field="provider",
        sentence=f"There is no provider {name!r} in this workspace.",
    )


def _fallback(row: Model, name: str | None) -> Model | None:
    if not name:
        return None
    if name == row.name:
        sentence = "A model cannot stand in for itself."
        raise InvalidInputError(sentence, fields={"fallback": [sentence]})
    return named(
        Model.objects.filter(workspace_id=row.workspace_id),
        name,
        field="fallback",
        sentence=f"There is no model {name!r} in this workspace to fall back to.",
    )
