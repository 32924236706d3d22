"""The price list of models.dev: its `api.json`, dollars per million tokens.

An object of vendors by id, each with `models` by the vendor's own name; a model's `cost` has
`input`, `output`, `cache_read`, `cache_write` and `reasoning`. Larger prices of larger contexts are
in `cost.tiers` (`{"tier": {"type": "context", "size": N}, …}`), or in the older
`cost.context_over_200k`; both hold for an input of more than so many tokens. Prices of sound and
pictures are left aside: agents here send text.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agents.contracts import Price, PriceTier
from agents.pricing import ListedPrice
from core.errors import InvalidInputError

_REMEDY = "Fetch https://models.dev/api.json again and import it as it came."
_OLD_TIER = 200_000
_MAX_USD = Decimal(1_000_000)
_MAX_HOST = 200


class _Tier(msgspec.Struct):
    type: str
    size: int


class _Rates(msgspec.Struct):
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None


class _TierRates(_Rates, kw_only=True):
    tier: _Tier


class _Cost(_Rates):
    tiers: list[_TierRates] | None = None
    context_over_200k: _Rates | None = None


class _Model(msgspec.Struct):
    cost: _Cost | None = None


class _Vendor(msgspec.Struct):
    models: dict[str, _Model]
    api: str | None = None


_decode = msgspec.json.Decoder(dict[str, _Vendor], float_hook=Decimal).decode


def models_dev_prices(content: bytes) -> Iterator[ListedPrice | None]:
    """Yield the price of each model, None for one without prices of input and output.

    Raises:
        InvalidInputError: It is no list of models.dev, or says something that cannot be a price.
    """
    try:
        vendors = _decode(content)
    except (msgspec.DecodeError, ArithmeticError, RecursionError) as error:
        raise InvalidInputError(
            f"This is no price list of models.dev: {error}.", remedy=_REMEDY
        ) from error
    if not any(vendor.models for vendor in vendors.values()):
        raise InvalidInputError("The price list names no model.", remedy=_REMEDY)
    for name, vendor in vendors.items():
        for model_name, model in vendor.models.items():
            if "\x00" in f"{name}{model_name}":
                raise InvalidInputError("The price list has a name with NUL in it.", remedy=_REMEDY)
            price = _price(f"{name}/{model_name}", model.cost)
            yield (
                None
                if price is None
                else ListedPrice(
                    provider=name[:80],
                    vendor_name=model_name[:200],
                    host=_host(name, vendor.api or ""),
                    price=price,
                )
            )


def _host(place: str, address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = "\x00"
    if len(host) > _MAX_HOST or "\x00" in host:
        raise InvalidInputError(f"{place}: {address[:80]!r} is no address.", remedy=_REMEDY)
    return host


def _price(place: str, cost: _Cost | None) -> Price | None:
    if cost is None or cost.input is None or cost.output is None:
        return None
    return Price(**_rates(place, cost), tiers=tuple(_tiers(place, cost)))


def _tiers(place: str, cost: _Cost) -> Iterator[PriceTier]:
    found: dict[int, _Rates] = {}
    for each in cost.tiers or ():
        if each.tier.type != "context" or each.tier.size < 0 or each.tier.size in found:
            raise InvalidInputError(
                f"{place}: a price tier of type {each.tier.type!r} and size {each.tier.size} is "
                "none this version can count by.",
                remedy="Take the entry out of the file, or update Agentry.",
            )
        found[each.tier.size] = each
    if not found and cost.context_over_200k is not None:
        found[_OLD_TIER] = cost.context_over_200k
    for size, rates in sorted(found.items()):
        # What a tier does not name stays as it was.
        yield PriceTier(above_input_tokens=size, **(_rates(place, cost) | _rates(place, rates)))


def _rates(place: str, rates: _Rates) -> dict[str, Any]:
    found = {
        f"{kind}_usd": value
        for kind in ("input", "output", "cache_read", "cache_write", "reasoning")
        if (value := getattr(rates, kind)) is not None
    }
    for kind, value in found.items():
        if not value.is_finite() or not 0 <= value < _MAX_USD:
            raise InvalidInputError(
                f"{place}: {kind.removesuffix('_usd')} costs {value}, which is no price.",
                remedy=_REMEDY,
            )
    return found
