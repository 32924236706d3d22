"""Providers of a process: built from their rows, kept while the rows do not change."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from django.conf import settings

from agents.contracts import Provider as ProviderPort
from agents.contracts import ProviderConfig, ProviderKind
from agents.models import Provider
from agents.providers.build import build_provider
from core import clock
from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.redaction import known_secrets
from core.sealing import unseal
from governance.secrets.names import whole_reference
from governance.services.secret_values import SecretUse, secret_value

FRESH_SECONDS = 3.0
RECORDED_EVERY_SECONDS = 3_600.0

# When the row changed, and the key, which may be a secret that changed.
Marker: TypeAlias = tuple[datetime, str]


def provider_key(row: Provider) -> str:
    """Return the provider's key in the clear; only for the process that uses it.

    Raises:
        InvalidInputError: It names an environment variable that may not be read, is not set, or
            would be sent to another address than the vendor's own.
    """
    if row.sealed_key is not None:
        key = unseal(
            bytes(row.sealed_key), workspace_id=row.workspace_id, name=f"provider:{row.pk}"
        )
        named = whole_reference(key)
        return _secret(row, named) if named else key
    if not row.key_env:
        return ""
    if row.key_env not in settings.PROVIDER_ENV:
        raise InvalidInputError(
            f"The provider {row.name} takes its key from {row.key_env}, which providers may not "
            "read.",
            remedy="Add it to AGENTRY_PROVIDER_ENV, or store the key with the provider.",
        )
    if row.base_url:  # saved before this was refused, or written past the services
        raise InvalidInputError(
            f"The provider {row.name} would send the site's {row.key_env} to {row.base_url}; such "
            "a key is sent to the vendor's own address only.",
            remedy="Store a key with the provider, or leave its base_url empty.",
        )
    key = os.environ.get(row.key_env, "")
    if not key:
        raise InvalidInputError(
            f"The provider {row.name} takes its key from {row.key_env}, which is not set.",
            remedy="Set it for the workers, or store the key with the provider.",
        )
    return key


def _secret(row: Provider, name: str) -> str:
    use = SecretUse(
        kind="provider", id=row.pk, label=row.name, every_seconds=RECORDED_EVERY_SECONDS
    )
    opened = secret_value(workspace_id=row.workspace_id, name=name, use=use)
    if not opened.value.isascii() or not opened.value.isprintable():
        raise InvalidInputError(
            f"The provider {row.name} takes its key from the secret {name!r}, which cannot be sent "
            "as one.",
            remedy="Set the secret to visible ASCII, without line breaks.",
        )
    return opened.value


def provider_config(provider_id: UUID) -> tuple[ProviderConfig, int, Marker]:
    """Read a provider's configuration. Synchronous; reads the database, and may ask a vault."""
    row = Provider.objects.filter(pk=provider_id).first()
    if row is None:
        raise NotFoundError(
            "The provider this run was started with was deleted.",
            remedy="Fork the run with another model.",
        )
    if not row.is_enabled:
        raise ConflictError(f"The provider {row.name} is switched off.", remedy="Enable it.")
    key = provider_key(row)
    known_secrets.remember(key)
    config = ProviderConfig(
        kind=ProviderKind(row.kind),
        name=row.name,
        base_url=row.base_url,
        api_key=key,
        timeout_seconds=row.timeout_seconds,
        max_retries=row.max_retries,
        script=row.script,
    )
    return config, row.max_concurrency, (row.updated_at, key)


class ProviderPool:
    """Builds a provider once, and again when its row or key changed; on the loop's thread."""

    def __init__(
        self,
        read: Callable[[UUID], Awaitable[tuple[ProviderConfig, int, Marker]]],
    ) -> None:
        self._read = read
        self._built: dict[UUID, tuple[ProviderPort, Marker, float]] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._retired: list[ProviderPort] = []

    async def get(self, provider_id: UUID) -> ProviderPort:
        """Return the provider; at most a few seconds behind its row."""
        known = self._built.get(provider_id)
        if known is not None and clock.monotonic() - known[2] < FRESH_SECONDS:
            return known[0]
        async with self._locks.setdefault(provider_id, asyncio.Lock()):
            known = self._built.get(provider_id)
            if known is not None and clock.monotonic() - known[2] < FRESH_SECONDS:
                return known[0]
            config, concurrency, changed_at = await self._read(provider_id)
            if known is not None and known[1] == changed_at:
                provider = known[0]
            else:
                provider = build_provider(config, max_concurrency=concurrency)
                if known is not None:
                    self._retired.append(known[0])  # runs may still be streaming from it
            self._built[provider_id] = (provider, changed_at, clock.monotonic())
            return provider

    async def aclose(self) -> None:
        for provider in [*self._retired, *(built[0] for built in self._built.values())]:
            await provider.aclose()
        self._built.clear()
        self._retired.clear()
