"""Pinning: from the name of an agent to the snapshot a run is started with."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import ModelOptions, ProviderKind
from agents.engine.state import Limits
from agents.models import Agent, AgentVersion, Model, ModelRoute, RunSnapshot
from agents.selectors.prices import OWN, SCRIPT, UNKNOWN, Offer, listing_of, offers_of
from agents.snapshot import PinnedModel, PinnedTool, Snapshot
from agents.spec import AgentSpec, rendered, spec_parse
from agents.tools.registry import BUILTIN_TOOLS, safe_builtins
from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.redaction import redact_text
from plugins.declared import declared_tool, definition_of
from plugins.digest import spec_digest
from plugins.selectors import declared_tools


def agent_pinnable(workspace_id: UUID, name: str) -> tuple[Agent, AgentVersion]:
    """Find an agent that runs can be started of.

    Raises:
        NotFoundError: No such agent here.
        ConflictError: It has no published version, or is switched off.
    """
    agent = (
        Agent.objects.select_related("published")
        .filter(workspace_id=workspace_id, name=name)
        .first()
    )
    if agent is None:
        raise NotFoundError(
            f"There is no agent {name!r} in this workspace.",
            remedy="List the agents, or create it first.",
        )
    if not agent.is_enabled:
        raise ConflictError(f"The agent {name} is switched off.", remedy="Enable it first.")
    if agent.published is None:
        raise ConflictError(
            f"The agent {name} has no published version.", remedy="Publish its draft first."
        )
    return agent, agent.published


def pin(
    agent: Agent,
    version: AgentVersion,
    *,
    input_text: str,
    variables: Mapping[str, str] | None = None,
    model: str = "",
) -> tuple[Snapshot, str]:
    """Build the snapshot of a run that starts now and store it; returns it with its digest.

    Variables are redacted of what this process knows, as the input is.

    Raises:
        InvalidInputError: A named tool, model or variable does not exist.
    """
    spec = spec_parse(version.spec)
    given = {name: redact_text(value) for name, value in (variables or {}).items()}
    snapshot = Snapshot(
        agent=agent.name,
        version=version.number,
        prompt=rendered(spec.prompt, {**spec.variables, **given}),
        models=model_chain(agent.workspace_id, model or spec.model, input_text),
        tools=pinned_tools(agent.workspace_id, spec),
        delegates=tuple(spec.delegates),
        limits=limits_of(spec),
        options=msgspec.convert(spec.options.model_dump(mode="json"), ModelOptions),
    )
    return snapshot, store(agent.workspace_id, snapshot)


def store(workspace_id: UUID, snapshot: Snapshot) -> str:
    """Keep a snapshot under its digest; storing it twice changes nothing."""
    digest = snapshot.digest(workspace_id)
    RunSnapshot.objects.bulk_create(
        [
            RunSnapshot(
                digest=digest, workspace_id=workspace_id, content=msgspec.to_builtins(snapshot)
            )
        ],
        ignore_conflicts=True,
    )
    return digest


def limits_of(spec: AgentSpec) -> Limits:
    return msgspec.convert(spec.limits.model_dump(mode="json"), Limits)


def pinned_tools(workspace_id: UUID, spec: AgentSpec) -> tuple[PinnedTool, ...]:
    names = sorted(safe_builtins()) if spec.tools is None else list(spec.tools)
    if spec.delegates and "agent" not in names:
        names.append("agent")
    if not spec.delegates and spec.tools is None:
        names.remove("agent")
    declared = {row.name: row for row in declared_tools(workspace_id)}
    pinned = []
    for name in dict.fromkeys(names):
        if (row := declared.get(name)) is not None:
            definition = definition_of(row)
            digest = spec_digest(declared_tool(definition).spec)
            pinned.append(PinnedTool(name=name, digest=digest, definition=definition))
        elif (tool := BUILTIN_TOOLS.get(name)) is not None:
            pinned.append(PinnedTool(name=name, digest=spec_digest(tool.spec)))
        else:
            raise InvalidInputError(
                f"There is no tool {name!r}.",
                remedy="Declare it in this workspace or take it out of the agent's tools.",
                fields={"tools": [f"unknown tool {name}"]},
            )
    return tuple(pinned)


def model_chain(workspace_id: UUID, name: str, input_text: str) -> tuple[PinnedModel, ...]:
    """Choose the model and the ones asked in its place, at most five, no one twice.

    Raises:
        InvalidInputError: No such model, or no route fits; an unknown model is never replaced.
    """
    first = _named(workspace_id, name) if name else _routed(workspace_id, input_text)
    chain: list[Model] = []
    current: Model | None = first
    while current is not None and current not in chain and len(chain) < 5:
        if current.is_enabled and current.provider.is_enabled:
            chain.append(current)
        current = (
            Model.objects.select_related("provider").filter(pk=current.fallback_id).first()
            if current.fallback_id
            else None
        )
    if not chain:
        raise InvalidInputError(
            f"The model {first.name} or its provider is switched off, and it has no fallback.",
            remedy="Enable it, or choose another model.",
        )
    return tuple(map(_pinned, chain, _offers(chain)))


def _named(workspace_id: UUID, name: str) -> Model:
    found = (
        Model.objects.select_related("provider")
        .filter(workspace_id=workspace_id, name=name)
        .first()
    )
    if found is None:
        raise InvalidInputError(
            f"There is no model {name!r} in this workspace.",
            remedy="List the models, or create it.",
            fields={"model": [f"unknown model {name}"]},
        )
    return found


def _routed(workspace_id: UUID, input_text: str) -> Model:
    routes = ModelRoute.objects.select_related("model__provider").filter(workspace_id=workspace_id)
    for route in routes:
        if any(word in input_text for word in route.if_contains):
            return route.model
    raise InvalidInputError(
        "The agent names no model and no route of this workspace fits the input.",
        remedy='Name a model in the agent, or add a route with if_contains: [""], which fits all.',
    )


def _pinned(model: Model, offers: Sequence[Offer]) -> PinnedModel:
    is_script = model.provider.kind == ProviderKind.SCRIPTED.value
    is_own = model.input_price_usd is not None and model.output_price_usd is not None
    best = None if is_own or not offers else offers[0]
    options: dict[str, Any] = dict(model.options)
    return PinnedModel(
        name=model.name,
        provider_id=model.provider_id,
        provider_kind=model.provider.kind if is_script or not model.provider.base_url else "own",
        vendor_name=model.vendor_name,
        options=options,
        input_price_usd=model.input_price_usd,
        output_price_usd=model.output_price_usd,
        cache_read_price_usd=model.cache_read_price_usd,
        cache_write_price_usd=model.cache_write_price_usd,
        listed=best.price if best else None,
        price_source=_source(is_own, is_script, best),
    )


def _source(is_own: bool, is_script: bool, best: Offer | None) -> str:
    if is_own:
        return OWN
    if best is not None:
        return best.source
    return SCRIPT if is_script else UNKNOWN


def _offers(chain: Sequence[Model]) -> list[list[Offer]]:
    """Look up what the lists say of the models of a chain; scripts cost nothing to ask about."""
    return offers_of(
        [
            listing_of(model.provider.kind, model.provider.base_url, model.vendor_name)
            for model in chain
        ]
    )
