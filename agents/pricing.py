"""What tokens cost: a model's own prices, else those of a list, else unknown, never zero."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from agents.contracts import Price, PriceTier, Usage
from agents.snapshot import PinnedModel
from core import clock

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo
    from genai_prices.types import Provider as ListedProvider

LIBRARY: Final = "genai-prices"
# What the lists call the vendors that our adapters talk to where no other address is given.
VENDORS: Final = {"openai": "openai", "anthropic": "anthropic", "gemini": "google"}
_MILLION = Decimal(1_000_000)
_CENTS = Decimal("0.00000001")
NO_USAGE: Final = Usage()
_SOME: Final = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


def cost_of(model: PinnedModel, usage: Usage) -> Decimal | None:
    """Return dollars for `usage` of one call, or None when no price is known, or no usage told.

    Cached tokens are part of `input_tokens` and are billed at their own price where there is one.
    """
    price = _price(model)
    if price is None:
        # A script asks nobody; with prices of its own it plays a model that has them.
        return Decimal(0) if model.provider_kind == "scripted" else None
    if is_untold(model, usage) and dollars_of(price, _SOME):
        return None
    return dollars_of(price, usage)


def is_untold(model: PinnedModel, usage: Usage) -> bool:
    """Say whether a server answered without telling what that took: no answer takes nothing."""
    return usage == NO_USAGE and model.provider_kind != "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a budget counts for some tokens; `is_known` is false where a stand-in price was used."""

    usd: Decimal
    is_known: bool


def charge_of(model: PinnedModel, usage: Usage) -> Charge:
    """Return what a budget counts for `usage`: never zero only because a price is not known."""
    known = cost_of(model, usage)
    if known is not None:
        return Charge(usd=known, is_known=True)
    return Charge(usd=dollars_of(stand_in(), usage), is_known=False)


def stand_in() -> Price:
    """The price counted for a model nobody knows the price of, so that a cap holds."""
    return Price(
        input_usd=settings.UNKNOWN_INPUT_PRICE_USD, output_usd=settings.UNKNOWN_OUTPUT_PRICE_USD
    )


def dollars_of(price: Price, usage: Usage) -> Decimal:
    """Return what one call costs, to a hundred-millionth of a dollar.

    Its whole input, cached tokens included, decides the tier, and the tier prices all of the call.
    """
    rates = rates_of(price, usage.input_tokens)
    read = rates.input_usd if rates.cache_read_usd is None else rates.cache_read_usd
    write = rates.input_usd if rates.cache_write_usd is None else rates.cache_write_usd
    thought = rates.output_usd if rates.reasoning_usd is None else rates.reasoning_usd
    plain = max(usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens, 0)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    total = (
        plain * rates.input_usd
        + usage.cache_read_tokens * read
        + usage.cache_write_tokens * write
        + (usage.output_tokens - reasoning) * rates.output_usd
        + reasoning * thought
    )
    return (total / _MILLION).quantize(_CENTS)


def rates_of(price: Price, input_tokens: int) -> Price | PriceTier:
    """Return the tier that a call with so large an input pays, or the price itself."""
    reached = [tier for tier in price.tiers if input_tokens > tier.above_input_tokens]
    return reached[-1] if reached else price


def _price(model: PinnedModel) -> Price | None:
    if model.input_price_usd is not None and model.output_price_usd is not None:
        return Price(
            input_usd=model.input_price_usd,
            output_usd=model.output_price_usd,
            cache_read_usd=model.cache_read_price_usd,
            cache_write_usd=model.cache_write_price_usd,
        )
    if model.price_source:
        return model.listed
    return library_price(VENDORS.get(model.provider_kind, ""), model.vendor_name)


# --- the maintained library: its data comes with the package, nothing is fetched ----------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrice:
    """A price as a list states it. `host` is the vendor's address, where the list tells it."""

    provider: str
    vendor_name: str
    price: Price
    host: str = ""


@lru_cache(maxsize=1)
def library_version() -> str:
    return version(LIBRARY)


@lru_cache(maxsize=512)
def library_vendor(base_url: str) -> str:
    """Return the library's name for the vendor behind an address; empty for any other server."""
    for vendor in _vendors():
        found = re.match(vendor.api_pattern, base_url)
        # A pattern is the beginning of an address: a longer name of a host is another host.
        if found and (found[0][-1:] in "/." or base_url[found.end() :][:1] in {"", "/", ":"}):
            return vendor.id
    return ""


@lru_cache(maxsize=512)
def library_name(provider: str, vendor_name: str) -> str:
    """Return what the library lists a model as; empty when it does not know it."""
    found = _listed_model(provider, vendor_name)
    return found.id if found else ""


@lru_cache(maxsize=512)
def library_price(provider: str, vendor_name: str) -> Price | None:
    """Return the installed library's price of a model, or None."""
    found = _listed_model(provider, vendor_name)
    return price_of_library(found) if found else None


def library_prices() -> Iterator[ListedPrice | None]:
    """Yield the price of each model of the installed library, None for one not paid by tokens."""
    for vendor in _vendors():
        for model in vendor.models:
            price = price_of_library(model)
            if price is None:
                yield None
            else:
                yield ListedPrice(provider=vendor.id, vendor_name=model.id, price=price)


def price_of_library(model: "ModelInfo") -> Price | None:
    """Translate the prices of today; where they change with the time of day, the dearest."""
    now = clock.now()
    found = [price for each in _in_force(model, now) if (price := _translated(each)) is not None]
    return max(found, key=lambda price: (price.input_usd, price.output_usd), default=None)


def _vendors() -> "list[ListedProvider]":
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def _listed_model(provider: str, vendor_name: str) -> "ModelInfo | None":
    vendors = _vendors() if provider else []
    vendor = next((each for each in vendors if each.id == provider), None)
    return vendor.find_model(vendor_name, all_providers=vendors) if vendor else None


def _in_force(model: "ModelInfo", now: datetime) -> list[Any]:
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    by_hour = [each for each in model.prices if isinstance(each.constraint, TimeOfDateConstraint)]
    lasting = [each for each in model.prices if each not in by_hour]
    begun = [each for each in lasting if each.constraint is None or each.constraint.active(now)]
    return [each.prices for each in [*by_hour, *(begun[-1:] or lasting[:1])]]


def _translated(listed: Any) -> Price | None:
    from genai_prices.types import TieredPrices

    if listed.input_mtok is None or listed.output_mtok is None:
        return None
    kinds = {
        "input_usd": listed.input_mtok,
        "output_usd": listed.output_mtok,
        "cache_read_usd": listed.cache_read_mtok,
        "cache_write_usd": listed.cache_write_mtok,
        "reasoning_usd": listed.output_reasoning_mtok,
    }
    starts = {
        tier.start for each in kinds.values() if isinstance(each, TieredPrices)
        for tier in each.tiers
    }  # fmt: skip

    def at(input_tokens: int) -> dict[str, Decimal]:
        return {
            name: _at(each, input_tokens) if isinstance(each, TieredPrices) else each
            for name, each in kinds.items()
            if each is not None
        }

    tiers = [PriceTier(above_input_tokens=start, **at(start + 1)) for start in sorted(starts)]
    return Price(**at(0), tiers=tuple(tiers))


def _at(tiered: Any, input_tokens: int) -> Decimal:
    reached = [tier.price for tier in tiered.tiers if input_tokens > tier.start]
    found: Decimal = reached[-1] if reached else tiered.base
    return found
