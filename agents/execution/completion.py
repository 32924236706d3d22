"""Asking a model: builds the request, streams the answer to viewers, counts what it cost."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from agents.contracts import (
    Completed,
    CompletionRequest,
    Message,
    ModelOptions,
    Provider,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from agents.engine.loop import ModelAnswered, ModelFailed
from agents.engine.state import EngineState
from agents.errors import ProviderError
from agents.execution.context import RunContext, is_answer
from agents.execution.spending import MOST_TOKENS, Purse, charged
from agents.pricing import cost_of
from agents.providers.replay import ReplayProvider
from agents.providers.retry import FallbackProvider
from agents.snapshot import answered_by
from core.errors import DomainError, LeaseLostError, UnavailableError
from core.redacted_stream import RedactedStream
from core.redaction import redact_text, storable
from governance.services.spending import Shortfall
from observability.contracts import DeltaChannel
from plugins.contracts import ToolSpec

# Finds the provider of a model, building it when needed; raises DomainError with a remedy.
ProviderSource = Callable[[UUID], Awaitable[Provider]]
MOST_NAME_CHARS = 200
DeltaSink = Callable[[UUID, UUID, int, str, DeltaChannel], None]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking, with the model that answered."""

    event: ModelAnswered | ModelFailed
    model: str
    duration_seconds: float


class Asker:
    """Shared by all drivers of a process."""

    def __init__(
        self,
        *,
        providers: ProviderSource,
        specs: Callable[[RunContext], tuple[ToolSpec, ...]],
        emit: DeltaSink,
        purse: Purse,
    ) -> None:
        self._providers = providers
        self._specs = specs
        self._emit = emit
        self._purse = purse

    async def ask(
        self, context: RunContext, state: EngineState, history: Sequence[Message]
    ) -> Asked | Shortfall:
        """Ask the run's model once. A failure of the model is an answer too, and so is a limit of
        spending that has no room for the call: then nobody was asked.

        Raises:
            UnavailableError: Our own database is away; that is not the model's failure.
            LeaseLostError: The run belongs to another worker, who has asked already.
        """
        started = time.perf_counter()
        recorded = context.recorded
        if recorded is not None and state.iteration >= len(recorded.answers):
            return Asked(event=recorded.end, model="", duration_seconds=0.0)
        try:
            provider = await self._provider(context, state, history)
            request = self._request(context, state, history)
            if context.is_bounded:
                found = await self._purse.reserve(context, request, state.iteration)
                if isinstance(found, Shortfall):
                    return found
                request = found
            completed = await self._stream(provider, request, context)
        except (UnavailableError, LeaseLostError):
            raise
        except ProviderError as error:
            return Asked(
                event=ModelFailed(
                    code=error.code,
                    sentence=str(error),
                    is_retryable=error.is_retryable,
                    retry_after_seconds=error.retry_after_seconds,
                ),
                model=context.snapshot.models[0].name,
                duration_seconds=time.perf_counter() - started,
            )
        except DomainError as error:
            return Asked(
                event=ModelFailed(code=error.code, sentence=str(error), is_retryable=False),
                model=context.snapshot.models[0].name,
                duration_seconds=time.perf_counter() - started,
            )
        pinned = answered_by(completed.model, context.snapshot.models)
        usage = _credible(completed.usage)
        charged(context, pinned, usage)
        return Asked(
            event=ModelAnswered(
                message=completed.message,
                usage=usage,
                finish=completed.finish,
                cost_usd=Decimal(0) if context.recorded else cost_of(pinned, usage),
            ),
            model=_bounded_name(completed.model) or pinned.vendor_name,
            duration_seconds=time.perf_counter() - started,
        )

    def _request(
        self, context: RunContext, state: EngineState, history: Sequence[Message]
    ) -> CompletionRequest:
        first = context.snapshot.models[0]
        return CompletionRequest(
            model=first.vendor_name,
            system=context.snapshot.prompt,
            messages=tuple(history),
            tools=self._specs(context),
            options=_merged(context.snapshot.options, first.options),
            run_id=str(context.run_id),
            step=state.iteration,
            agent=context.agent,
        )

    async def _provider(
        self, context: RunContext, state: EngineState, history: Sequence[Message]
    ) -> Provider:
        if context.recorded is not None:
            due = context.recorded.answers[state.iteration]
            return ReplayProvider([due], answers_before=sum(map(is_answer, history)))
        models = context.snapshot.models
        if len(models) == 1:
            return await self._providers(models[0].provider_id)
        chain = []
        troubles = []
        for model in models:
            try:
                chain.append((await self._providers(model.provider_id), model.vendor_name))
            except UnavailableError:
                raise
            except DomainError as error:
                # One that was deleted or switched off since the run began is passed over.
                troubles.append(error)
        if not chain:
            raise troubles[0]
        return FallbackProvider(chain)

    async def _stream(
        self, provider: Provider, request: CompletionRequest, context: RunContext
    ) -> Completed:
        show = partial(self._emit, context.workspace_id, context.run_id, context.head_sequence)
        written: dict[DeltaChannel, RedactedStream] = {
            "text": RedactedStream(), "reasoning": RedactedStream(),
        }  # fmt: skip
        completed: Completed | None = None
        stream = provider.complete(request)
        async with aclosing(stream):  # type: ignore[type-var]  # every adapter is a generator
            async for delta in stream:
                match delta:
                    case TextDelta():
                        _show(written, "text", delta.text, show)
                    case ReasoningDelta():
                        _show(written, "reasoning", delta.text, show)
                    case ToolCallDelta():
                        show(redact_text(delta.name), "tool")
                    case Completed():
                        completed = delta
        for channel, pieces in written.items():
            if rest := pieces.end():
                show(rest, channel)
        if completed is None:
            raise ProviderError("The provider ended its answer without completing it.")
        return completed


def _bounded_name(said: str) -> str:
    """Return what a server calls the model that answered, as it can be stored and counted by."""
    return storable(said)[:MOST_NAME_CHARS]


def _credible(usage: Usage) -> Usage:
    """Bound what a server says: nothing that is added up must run over because of one answer."""
    counts = {name: min(getattr(usage, name), MOST_TOKENS) for name in usage.__struct_fields__}
    return Usage(**counts)


def _show(
    written: Mapping[DeltaChannel, RedactedStream],
    channel: DeltaChannel,
    text: str,
    show: Callable[[str, DeltaChannel], None],
) -> None:
    """Show what of a stream may be shown now; secrets may be split over its pieces."""
    if ready := written[channel].feed(text):
        show(ready, channel)


def _merged(options: ModelOptions, defaults: Mapping[str, Any]) -> ModelOptions:
    """The agent's options over the model's."""
    if not defaults:
        return options
    chosen = msgspec.to_builtins(options)
    extra = {**defaults.get("extra", {}), **chosen.get("extra", {})}
    return msgspec.convert({**defaults, **chosen, "extra": extra}, ModelOptions)
