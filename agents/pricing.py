"""What tokens cost: a model's own prices, else the maintained table, else unknown, never zero."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from agents.contracts import Price, Usage
from agents.snapshot import PinnedModel

_MILLION = Decimal(1_000_000)


def cost_of(model: PinnedModel, usage: Usage) -> Decimal | None:
    """Return dollars for `usage`, or None when no price is known.

    Cached tokens are part of `input_tokens` and are billed at their own price where there is one.
    """
    if model.provider_kind == "scripted":
        return Decimal(0)  # a script asks nobody
    price = _price(model)
    if price is None:
        return None
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    read = price.input_usd if price.cache_read_usd is None else price.cache_read_usd
    write = price.input_usd if price.cache_write_usd is None else price.cache_write_usd
    total = (
        max(plain, 0) * price.input_usd
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
        + usage.output_tokens * price.output_usd
    )
    return (total / _MILLION).quantize(Decimal("0.00000001"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a budget counts for some tokens; `is_known` is false where a stand-in price was used."""

    usd: Decimal
    is_known: bool


# Of a model nobody knows the price of: as dear as the dearest in common use, so that a cap holds.
UNKNOWN = Price(input_usd=Decimal(15), output_usd=Decimal(75))


def charge_of(model: PinnedModel, usage: Usage) -> Charge:
    """Return what a budget counts for `usage`: never zero only because a price is not known."""
    known = cost_of(model, usage)
    if known is not None:
        return Charge(usd=known, is_known=True)
    stand_in = usage.input_tokens * UNKNOWN.input_usd + usage.output_tokens * UNKNOWN.output_usd
    return Charge(usd=(stand_in / _MILLION).quantize(Decimal("0.00000001")), is_known=False)


def _price(model: PinnedModel) -> Price | None:
    if model.input_price_usd is not None and model.output_price_usd is not None:
        return Price(
            input_usd=model.input_price_usd,
            output_usd=model.output_price_usd,
            cache_read_usd=model.cache_read_price_usd,
            cache_write_usd=model.cache_write_price_usd,
        )
    return _listed(model.provider_kind, model.vendor_name)


_PROVIDER_IDS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}


@lru_cache(maxsize=512)
def _listed(provider_kind: str, vendor_name: str) -> Price | None:
    """Look the model up in genai-prices (offline data); probes a million tokens of each kind."""
    provider_id = _PROVIDER_IDS.get(provider_kind)
    if provider_id is None:
        return None
    from genai_prices import Usage as ListedUsage
    from genai_prices import calc_price

    def dollars(usage: ListedUsage) -> Decimal:
        found = calc_price(usage, vendor_name, provider_id=provider_id)
        return Decimal(found.total_price)

    thousand = 1_000
    try:
        plain = dollars(ListedUsage(input_tokens=thousand))
        return Price(
            input_usd=plain * thousand,
            output_usd=dollars(ListedUsage(output_tokens=thousand)) * thousand,
            cache_read_usd=dollars(ListedUsage(input_tokens=thousand, cache_read_tokens=thousand))
            * thousand,
            cache_write_usd=dollars(ListedUsage(input_tokens=thousand, cache_write_tokens=thousand))
            * thousand,
        )
    except LookupError:
        return None
