"""Providers: where completions come from, and the keys they are asked with.

A key is sealed for its workspace and provider, names a secret of the workspace (`${secret:NAME}`),
or an environment variable the site allows; no interface ever gives it back. The variable's key is
the operator's: it goes to the vendor's own address only, because whoever may edit a provider
chooses its base_url.
"""

import hmac
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from django.conf import settings
from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field

from agents.contracts import ProviderKind
from agents.models import Model, Provider
from agents.providers.endpoint import checked_base_url
from agents.providers.script_language import compile_script
from agents.services.names import name_check, name_free
from agents.spec import document_parse
from core.errors import ConflictError, InvalidInputError
from core.redaction import known_secrets, redact_text
from core.sealing import seal, unseal
from governance import access
from governance.contracts import Actor, Perm
from governance.secrets.names import references, whole_reference
from governance.services.activity import recorded_as
from governance.services.known_secrets import secrets_changed
from governance.services.secrets import secrets_referable

if TYPE_CHECKING:
    from governance.models import Workspace

MAX_KEY_CHARACTERS = 4_000
KEY_OF_THE_SITE = (
    "A key from an environment variable is sent to the vendor's own address only. "
    "Leave base_url empty, or give this provider a key of its own as api_key."
)


class ProviderSpec(BaseModel):
    """Everything said of a provider. `api_key` absent: as it is; empty: none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    kind: ProviderKind = Field(strict=False)
    base_url: str = Field(default="", max_length=500)
    api_key: str | None = Field(default=None, max_length=MAX_KEY_CHARACTERS)
    key_env: str = Field(default="", max_length=100)
    script: str = Field(default="", max_length=262_144)
    max_concurrency: int = Field(default=64, ge=1, le=10_000)
    max_retries: int = Field(default=2, ge=0, le=10)
    timeout_seconds: float = Field(default=120.0, gt=0, le=3_600)
    is_enabled: bool = True


class ProviderFields(TypedDict, total=False):
    kind: str
    base_url: str
    api_key: str | None
    key_env: str
    script: str
    max_concurrency: int
    max_retries: int
    timeout_seconds: float
    is_enabled: bool


_STORED = tuple(name for name in ProviderSpec.model_fields if name != "api_key")


def provider_create(
    *, actor: Actor, workspace: "Workspace", name: str, **fields: Unpack[ProviderFields]
) -> Provider:
    """Create a provider.

    Raises:
        NameTakenError: the workspace has a provider of this name.
        InvalidInputError, ScriptError: something given cannot work; a script's mistake with its
            line and column.
    """
    access.require(actor, Perm.PROVIDER_EDIT, workspace)
    name_check(name, "provider")
    spec = _checked(name, document_parse(ProviderSpec, fields, "provider"))
    with recorded_as(actor), transaction.atomic():
        name_free(Provider.objects.filter(workspace=workspace), name, "provider")
        row = Provider(workspace=workspace, name=name)
        _refer(actor, row, spec)
        _take(row, spec)
        row.save()
    return row


def provider_update(
    *, actor: Actor, provider: Provider, **fields: Unpack[ProviderFields]
) -> Provider:
    """Change what is given; the kind and the name stay.

    Raises:
        InvalidInputError: something given cannot work, or the stored key would be sent to another
            server than it was given for.
    """
    access.require(actor, Perm.PROVIDER_EDIT, provider.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Provider.objects.select_for_update().get(pk=provider.pk)
        spec = _merged(row, fields)
        has_stored_key = row.sealed_key is not None and spec.api_key is None and not spec.key_env
        if has_stored_key and spec.base_url != row.base_url:
            raise _wrong(
                "api_key", "Give the key again: the stored one was given for another base_url."
            )
        before = (provider_spec(row), row.sealed_key)
        _refer(actor, row, spec)
        _take(row, spec)
        if (provider_spec(row), row.sealed_key) != before:
            row.save()
    return row


def provider_delete(*, actor: Actor, provider: Provider) -> None:
    """Delete a provider that no model uses.

    Raises:
        ConflictError: models of it are left.
    """
    access.require(actor, Perm.PROVIDER_EDIT, provider.workspace_id)
    with recorded_as(actor), transaction.atomic():
        row = Provider.objects.select_for_update().get(pk=provider.pk)
        used = list(Model.objects.filter(provider=row).values_list("name", flat=True)[:5])
        if used:
            raise ConflictError(
                f"The provider {row.name} is used by the models {', '.join(used)}.",
                remedy="Delete them or give them another provider first; or switch it off.",
            )
        row.delete()


def provider_spec(row: Provider) -> dict[str, Any]:
    """Return what is stored of a provider, without its key."""
    return {name: getattr(row, name) for name in _STORED}


def provider_has_key(row: Provider, key: str) -> bool:
    """Say whether `key` is the stored one; takes the same time whatever the difference."""
    if row.sealed_key is None:
        return not key
    stored = unseal(bytes(row.sealed_key), workspace_id=row.workspace_id, name=_place(row))
    return hmac.compare_digest(stored.encode(), key.encode())


def _merged(row: Provider, fields: ProviderFields) -> ProviderSpec:
    kind = fields.get("kind", row.kind)
    if kind != row.kind:
        raise _wrong("kind", f"The kind stays {row.kind}; create another provider instead.")
    known = provider_spec(row)
    if fields.get("api_key"):
        known["key_env"] = ""  # the key given now takes the place of the one named before
    return _checked(row.name, document_parse(ProviderSpec, {**known, **fields}, "provider"))


def _checked(name: str, spec: ProviderSpec) -> ProviderSpec:
    if spec.api_key and spec.key_env:
        raise _wrong("key_env", "Give either api_key or key_env, not both.")
    if spec.key_env and spec.key_env not in settings.PROVIDER_ENV:
        raise _wrong(
            "key_env",
            f"{redact_text(spec.key_env)} may not be read; the site allows "
            f"{', '.join(sorted(settings.PROVIDER_ENV)) or 'none'}.",
        )
    if spec.key_env and spec.base_url and spec.kind is not ProviderKind.SCRIPTED:
        raise _wrong("key_env", KEY_OF_THE_SITE)
    if spec.api_key and (not spec.api_key.isascii() or not spec.api_key.isprintable()):
        raise _wrong("api_key", "A key is visible ASCII, without line breaks.")
    if spec.api_key and "${secret:" in spec.api_key and not whole_reference(spec.api_key):
        raise _wrong("api_key", "A key is one reference, ${secret:NAME}, and nothing around it.")
    if spec.kind is ProviderKind.SCRIPTED:
        if spec.base_url or spec.api_key or spec.key_env:
            raise _wrong("kind", "A scripted provider asks nobody: leave out base_url and keys.")
        compile_script(spec.script)
        return spec
    if spec.script:
        raise _wrong("script", "Only a scripted provider has a script.")
    if spec.base_url:
        url = checked_base_url(spec.base_url, provider=name)
        return spec.model_copy(update={"base_url": url})
    return spec


def _refer(actor: Actor, row: Provider, spec: ProviderSpec) -> None:
    if spec.api_key and references(spec.api_key):
        secrets_referable(
            actor,
            workspace_id=row.workspace_id,
            names=references(spec.api_key),
            field="api_key",
        )


def _take(row: Provider, spec: ProviderSpec) -> None:
    if spec.api_key and not references(spec.api_key):
        known_secrets.remember(spec.api_key)
    for name in _STORED:
        setattr(row, name, getattr(spec, name))
    row.kind = spec.kind.value
    if spec.api_key and (row.sealed_key is None or not provider_has_key(row, spec.api_key)):
        secrets_changed(row.workspace_id)
        row.sealed_key = seal(spec.api_key, workspace_id=row.workspace_id, name=_place(row))
    elif spec.api_key == "" or spec.key_env:
        row.sealed_key = None


def _place(row: Provider) -> str:
    return f"provider:{row.pk}"


def _wrong(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, fields={field: [sentence]})
