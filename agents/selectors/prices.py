"""Which price holds for a model, and why: the lists in the order they are asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

import msgspec
from django.db.models import Q, QuerySet

from agents.contracts import Price, PriceTier, ProviderKind
from agents.models import Model, ModelPrice, PriceList
from agents.pricing import (
    LIBRARY,
    VENDORS,
    library_name,
    library_price,
    library_vendor,
    library_version,
)

# Lists that somebody imported come before what happens to be installed.
SOURCES: Final = ("models.dev", LIBRARY)
UNKNOWN: Final = "unknown"
SCRIPT: Final = "a script asks nobody"
OWN: Final = "the model's own prices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Under what a model may be listed: its vendor by name or by address, and its own names."""

    vendor: str
    host: str
    names: tuple[str, ...]

    @property
    def is_listable(self) -> bool:
        """A server of one's own may serve anything under a known name: no listed price fits it."""
        return bool(self.vendor or self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A price, whose it is, and since when the list says so."""

    source: str
    price: Price
    listed_as: str


def listing_of(kind: str, base_url: str, vendor_name: str) -> Listing:
    """Say where to look for the price of a model; nothing is asked of the database."""
    if kind == ProviderKind.SCRIPTED.value:
        return Listing(vendor="", host="", names=())
    vendor = library_vendor(base_url) if base_url else VENDORS.get(kind, "")
    names = dict.fromkeys((vendor_name, library_name(vendor, vendor_name)))
    return Listing(
        vendor=vendor,
        host=(urlsplit(base_url).hostname or "") if base_url else "",
        names=tuple(name for name in names if name),
    )


def offers_of(listings: Sequence[Listing]) -> list[list[Offer]]:
    """Return for each model the prices there are, best first; one query for all of them."""
    names = {name for each in listings if each.is_listable for name in each.names}
    rows = (
        list(
            ModelPrice.objects.filter(vendor_name__in=names, valid_until__isnull=True)
            .select_related("price_list")
            .order_by("provider")
        )
        if names
        else []
    )
    return [_offers(each, rows) for each in listings]


def price_lists() -> QuerySet[PriceList]:
    """Return what was imported, newest first. Lists belong to the site, not to a tenant."""
    return PriceList.objects.all()


def price_history(vendor_name: str) -> QuerySet[ModelPrice]:
    """Return every price a list ever had for models of this name, newest first."""
    found = Q(vendor_name__iexact=vendor_name) | Q(vendor_name__iendswith=f"/{vendor_name}")
    return ModelPrice.objects.filter(found).select_related("price_list").order_by("-valid_from")


def models_named(name: str) -> QuerySet[Model]:
    """Return the models of all workspaces under this name, ours or the vendor's. For operators."""
    found = Model.objects.filter(Q(name=name) | Q(vendor_name__iexact=name))
    return found.select_related("provider", "workspace").order_by("workspace__name", "name")


def price_of_row(row: ModelPrice) -> Price:
    return Price(
        input_usd=_plain(row.input_usd),
        output_usd=_plain(row.output_usd),
        cache_read_usd=None if row.cache_read_usd is None else _plain(row.cache_read_usd),
        cache_write_usd=None if row.cache_write_usd is None else _plain(row.cache_write_usd),
        reasoning_usd=None if row.reasoning_usd is None else _plain(row.reasoning_usd),
        tiers=msgspec.convert(row.tiers, tuple[PriceTier, ...]),
    )


def _plain(usd: Decimal) -> Decimal:
    """Without zeros at the end, and without an exponent: as a list would write it."""
    return Decimal(f"{usd.normalize():f}")


def _offers(listing: Listing, rows: Sequence[ModelPrice]) -> list[Offer]:
    if not listing.is_listable:
        return []
    found = []
    for source in SOURCES:
        for name in listing.names:
            fitting = (row for row in rows if row.source == source and row.vendor_name == name)
            row = next((row for row in fitting if _is_of(listing, row)), None)
            if row is not None:
                found.append(
                    Offer(
                        source=f"{source} of {row.price_list.imported_at:%Y-%m-%d}",
                        price=price_of_row(row),
                        listed_as=f"{row.provider}/{row.vendor_name}",
                    )
                )
                break
    price = library_price(listing.vendor, listing.names[0])
    if price is not None:
        found.append(
            Offer(
                source=f"{LIBRARY} {library_version()} as installed",
                price=price,
                listed_as=f"{listing.vendor}/{listing.names[-1]}",
            )
        )
    return found


def _is_of(listing: Listing, row: ModelPrice) -> bool:
    if listing.vendor and row.provider == listing.vendor:
        return True
    return bool(listing.host) and row.host == listing.host
