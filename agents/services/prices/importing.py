"""Importing a price list: what changed begins to count, what it replaces stays to be looked up."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec
from django.db import IntegrityError, transaction

from agents.models import ModelPrice, PriceList
from agents.pricing import LIBRARY, ListedPrice, library_prices, library_version
from agents.services.prices.models_dev import models_dev_prices
from core import clock
from core.errors import ConflictError, InvalidInputError
from core.redaction import storable

MODELS_DEV: Final = "models.dev"
MAX_BYTES: Final = 64 * 1024 * 1024
_BATCH = 500
_DIGITS = Decimal("0.0000000001")

Imported: TypeAlias = PriceList
_Key: TypeAlias = tuple[str, str]


def prices_import_file(*, content: bytes, title: str) -> Imported:
    """Import the `api.json` of models.dev; the same file twice changes nothing.

    Raises:
        InvalidInputError: It is no such list. Nothing was imported.
        ConflictError: Somebody else imported at the same time.
    """
    if len(content) > MAX_BYTES:
        raise InvalidInputError(
            f"The file has {len(content)} bytes; a price list has at most {MAX_BYTES}.",
            remedy="Fetch https://models.dev/api.json and import it as it came.",
        )
    return _import(MODELS_DEV, title, models_dev_prices(content), hashlib.sha256(content))


def prices_import_library() -> Imported:
    """Import the prices that came with the installed library, as they are today.

    Raises:
        ConflictError: Somebody else imported at the same time.
    """
    found = list(library_prices())
    known = [each for each in found if each]
    digest = hashlib.sha256(msgspec.json.encode(known, enc_hook=str))
    return _import(LIBRARY, library_version(), found, digest)


def _import(
    source: str, title: str, entries: Iterable[ListedPrice | None], digest: Any
) -> PriceList:
    given: dict[_Key, ListedPrice] = {}
    left_out = 0
    for entry in entries:
        if entry is None:
            left_out += 1
        else:
            given[(entry.provider, entry.vendor_name)] = entry
    now = clock.now()
    try:
        with transaction.atomic():
            made = PriceList.objects.create(
                source=source,
                title=storable(title)[:200],
                digest=digest.hexdigest(),
                imported_at=now,
                left_out=left_out,
            )
            _put(made, given, now)
    except IntegrityError as error:
        raise ConflictError(
            f"Prices of {source} were imported by somebody else at the same time.",
            remedy="Look at `manage.py prices ls`, and import again if they are not what you want.",
        ) from error
    return made


def _put(made: PriceList, given: dict[_Key, ListedPrice], now: datetime) -> None:
    """End the prices that are gone or other than before, and begin the new ones."""
    in_force = {
        (row.provider, row.vendor_name): row
        for row in ModelPrice.objects.filter(source=made.source, valid_until__isnull=True)
    }
    wanted = {key: _row(made, entry, now) for key, entry in given.items()}
    same = {key for key in wanted if key in in_force and _said(wanted[key]) == _said(in_force[key])}
    ended = [row.pk for key, row in in_force.items() if key not in same]
    for start in range(0, len(ended), _BATCH):
        ModelPrice.objects.filter(pk__in=ended[start : start + _BATCH]).update(valid_until=now)
    ModelPrice.objects.bulk_create(
        [row for key, row in wanted.items() if key not in same], batch_size=_BATCH
    )
    made.unchanged = len(same)
    made.changed = len(wanted.keys() & in_force.keys() - same)
    made.added = len(wanted.keys() - in_force.keys())
    made.ended = len(in_force.keys() - wanted.keys())
    made.save(update_fields=["unchanged", "changed", "added", "ended"])


def _row(made: PriceList, entry: ListedPrice, now: datetime) -> ModelPrice:
    price = entry.price
    return ModelPrice(
        price_list=made,
        source=made.source,
        provider=entry.provider,
        host=entry.host,
        vendor_name=entry.vendor_name,
        input_usd=price.input_usd.quantize(_DIGITS),
        output_usd=price.output_usd.quantize(_DIGITS),
        cache_read_usd=_kept(price.cache_read_usd),
        cache_write_usd=_kept(price.cache_write_usd),
        reasoning_usd=_kept(price.reasoning_usd),
        tiers=list(msgspec.to_builtins(price.tiers)),
        valid_from=now,
    )


def _kept(usd: Decimal | None) -> Decimal | None:
    return None if usd is None else usd.quantize(_DIGITS)


def _said(row: ModelPrice) -> tuple[Any, ...]:
    return (
        row.host,
        row.input_usd,
        row.output_usd,
        row.cache_read_usd,
        row.cache_write_usd,
        row.reasoning_usd,
        row.tiers,
    )
