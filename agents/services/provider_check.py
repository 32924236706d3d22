"""Checking a provider: the smallest question that shows whether its runs would get an answer."""

import asyncio
from dataclasses import dataclass

import msgspec
from asgiref.sync import async_to_sync

from agents.contracts import (
    Completed,
    CompletionRequest,
    ModelOptions,
    ProviderConfig,
    ProviderKind,
    user_message,
)
from agents.execution.providers import provider_config
from agents.models import Model, Provider
from agents.providers.build import build_provider
from agents.providers.script_language import compile_script
from core import clock
from core.errors import DomainError
from core.redaction import redact_text
from governance import access
from governance.contracts import Actor, Perm

CHECK_SECONDS = 20.0
_FEW_TOKENS = 16  # the smallest bound every vendor takes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCheck:
    """`detail` is a sentence; `model` is what answered, where something was asked."""

    ok: bool
    detail: str
    remedy: str = ""
    model: str = ""
    duration_seconds: float = 0.0


def provider_check(*, actor: Actor, provider: Provider) -> ProviderCheck:
    """Ask the provider's first enabled model for a few tokens; a script is only read.

    Takes at most 20 seconds and holds no transaction. What goes wrong is the answer, no exception.
    """
    access.require(actor, Perm.PROVIDER_EDIT, provider.workspace_id)
    started_at = clock.monotonic()
    try:
        if provider.kind == ProviderKind.SCRIPTED.value:
            compile_script(provider.script)
            return ProviderCheck(ok=True, detail="The script can be played.")
        config, _, _ = provider_config(provider.pk)
        model = _first_model(provider)
        if model is None:
            return ProviderCheck(
                ok=False,
                detail=f"The provider {provider.name} has no enabled model to ask.",
                remedy="Create a model of it, then check again.",
            )
        answered_by = async_to_sync(_ask)(config, model.vendor_name)
    except (DomainError, TimeoutError) as error:
        return _failed(error, clock.monotonic() - started_at)
    return ProviderCheck(
        ok=True,
        detail=f"The provider {provider.name} answers.",
        model=answered_by or model.vendor_name,
        duration_seconds=round(clock.monotonic() - started_at, 3),
    )


def _first_model(provider: Provider) -> Model | None:
    return Model.objects.filter(provider=provider, is_enabled=True).order_by("pk").first()


async def _ask(config: ProviderConfig, vendor_name: str) -> str:
    short = msgspec.structs.replace(
        config, timeout_seconds=min(config.timeout_seconds, CHECK_SECONDS), max_retries=0
    )
    adapter = build_provider(short, max_concurrency=1)
    request = CompletionRequest(
        model=vendor_name,
        system="",
        messages=(user_message("Say ok."),),
        options=ModelOptions(max_output_tokens=_FEW_TOKENS),
    )
    answered_by = ""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            async for delta in adapter.complete(request):
                if isinstance(delta, Completed):
                    answered_by = delta.model
    finally:
        await adapter.aclose()
    return answered_by


def _failed(error: DomainError | TimeoutError, duration_seconds: float) -> ProviderCheck:
    if isinstance(error, DomainError):
        detail, remedy = error.message, error.remedy
    else:
        detail = f"The provider gave no whole answer in {CHECK_SECONDS:g} seconds."
        remedy = "Check its address, or whether it is overloaded."
    return ProviderCheck(
        ok=False,
        detail=redact_text(detail),
        remedy=redact_text(remedy),
        duration_seconds=round(duration_seconds, 3),
    )
