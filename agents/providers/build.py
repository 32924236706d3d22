"""The one factory of providers. Adapters are imported when the first of their kind is built."""

from agents.contracts import Provider, ProviderConfig, ProviderKind
from agents.providers.breaker import Breaker
from agents.providers.retry import RetryingProvider, RetryPolicy
from core.errors import InvalidInputError


def build_provider(config: ProviderConfig, *, max_concurrency: int = 64) -> Provider:
    """Return the provider `config` describes, with retries, breaker and concurrency limit.

    A scripted provider has no concurrency limit and no breaker, and retries only where its script
    has failures: it must cost nothing and hide nothing. The provider belongs to the event loop it
    is first used on. Raises InvalidInputError or ScriptError when the configuration is wrong.
    """
    _check(config, max_concurrency)
    name = config.name or config.kind.value
    policy = RetryPolicy(max_retries=config.max_retries)
    if config.kind is ProviderKind.SCRIPTED:
        from agents.providers.scripted import ScriptedProvider

        scripted = ScriptedProvider(config)
        if not scripted.script.can_fail:
            return scripted
        return RetryingProvider(scripted, name=name, policy=policy, max_concurrency=None)
    return RetryingProvider(
        _adapter(config, max_concurrency),
        name=name,
        policy=policy,
        max_concurrency=max_concurrency,
        breaker=Breaker(name),
    )


def _adapter(config: ProviderConfig, max_connections: int) -> Provider:
    match config.kind:
        case ProviderKind.OPENAI:
            from agents.providers.openai import OpenAIProvider

            return OpenAIProvider(config, max_connections=max_connections)
        case ProviderKind.ANTHROPIC:
            from agents.providers.anthropic import AnthropicProvider

            return AnthropicProvider(config, max_connections=max_connections)
        case ProviderKind.GEMINI:
            from agents.providers.gemini import GeminiProvider

            return GeminiProvider(config, max_connections=max_connections)
    raise InvalidInputError(
        f"No adapter for providers of kind {config.kind!r}.",
        remedy=f"Use one of: {', '.join(ProviderKind)}.",
    )


def _check(config: ProviderConfig, max_concurrency: int) -> None:
    wrong: dict[str, list[str]] = {}
    if not 0 < config.timeout_seconds <= 3600:
        wrong["timeout_seconds"] = ["Must be above 0 and at most 3600."]
    if not 0 <= config.max_retries <= 10:
        wrong["max_retries"] = ["Must be from 0 to 10."]
    if max_concurrency < 1:
        wrong["max_concurrency"] = ["Must be at least 1."]
    if wrong:
        raise InvalidInputError(
            f"The settings of provider {config.name or config.kind.value} are out of range: "
            f"{', '.join(sorted(wrong))}.",
            remedy="See the field messages for the allowed values.",
            fields=wrong,
        )
