"""`manage.py prices`: import price lists, look at them, and see which price wins and why."""

from argparse import ArgumentParser
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.contracts import Price, PriceTier
from agents.models import Model, ModelPrice, PriceList
from agents.selectors.prices import (
    OWN,
    Offer,
    listing_of,
    models_named,
    offers_of,
    price_history,
    price_lists,
    price_of_row,
)
from agents.services.prices import prices_import_file, prices_import_library
from core.errors import DomainError


class Command(BaseCommand):
    help = "Prices of models: import lists, list what was imported, say which price wins."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        bring = commands.add_parser("import", help="Import a price list.")
        what = bring.add_mutually_exclusive_group(required=True)
        what.add_argument("file", nargs="?", type=Path, help="api.json of models.dev.")
        what.add_argument(
            "--from-library", action="store_true", help="What came with the installed library."
        )
        commands.add_parser("ls", help="What was imported, newest first.")
        show = commands.add_parser("show", help="Which price holds for a model, and why.")
        show.add_argument("model", help="A model's name here, or the vendor's name for it.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['command']}")(options)
        except DomainError as error:
            raise CommandError(str(error)) from error

    def _import(self, options: dict[str, Any]) -> None:
        if options["from_library"]:
            made = prices_import_library()
        else:
            try:
                content = options["file"].read_bytes()
            except OSError as error:
                raise CommandError(
                    f"{options['file']} cannot be read: {error.strerror}."
                ) from error
            made = prices_import_file(content=content, title=options["file"].name)
        self.stdout.write(
            f"{made.source}, {made.title}: {made.added} new prices, {made.changed} changed, "
            f"{made.ended} no longer listed, {made.unchanged} as before; {made.left_out} entries "
            "without a price for input and output tokens were left out."
        )
        self.stdout.write("Runs that have begun keep the prices they began with.")

    def _ls(self, options: dict[str, Any]) -> None:
        found = list(price_lists()[:50])
        if not found:
            self.stdout.write(
                "Nothing was imported: prices are those that came with the installed library. "
                "`manage.py prices import api.json` imports the list of https://models.dev."
            )
        for each in found:
            self.stdout.write(_line(each))

    def _show(self, options: dict[str, Any]) -> None:
        name = options["model"]
        models, past = list(models_named(name)), list(price_history(name)[:100])
        if not models and not past:
            raise CommandError(
                f"No workspace has a model {name!r}, and no imported list names it. "
                "Give a model's name as `agentry models ls` shows it, or the vendor's."
            )
        listings = [
            listing_of(each.provider.kind, each.provider.base_url, each.vendor_name)
            for each in models
        ]
        for model, listing, offers in zip(models, listings, offers_of(listings), strict=True):
            self._model(model, offers, is_known_vendor=bool(listing.vendor))
        if past:
            self.stdout.write("What lists have said, newest first:")
        for row in past:
            self.stdout.write(f"  {_period(row)}  {row.source}  {row.provider}/{row.vendor_name}")
            self.stdout.write(f"    {_told(price_of_row(row))}")

    def _model(self, model: Model, offers: list[Offer], *, is_known_vendor: bool) -> None:
        self.stdout.write(
            f"{model.workspace}/{model.name}: {model.vendor_name} of {model.provider}"
        )
        known = list(offers)
        if model.input_price_usd is not None and model.output_price_usd is not None:
            own = Price(
                input_usd=model.input_price_usd,
                output_usd=model.output_price_usd,
                cache_read_usd=model.cache_read_price_usd,
                cache_write_usd=model.cache_write_price_usd,
            )
            known.insert(0, Offer(source=OWN, price=own, listed_as="set in this workspace"))
        if not known:
            self.stdout.write(f"  {_why_none(model, is_known_vendor=is_known_vendor)}")
        for place, offer in enumerate(known):
            verdict = "counts" if place == 0 else "would count if nothing above were there"
            self.stdout.write(f"  {offer.source} ({offer.listed_as}) {verdict}")
            self.stdout.write(f"    {_told(offer.price)}")


def _why_none(model: Model, *, is_known_vendor: bool) -> str:
    if model.provider.kind == "scripted":
        return "A script asks nobody: it costs nothing."
    why = "no list names it" if is_known_vendor else "no list knows the server it is served by"
    return (
        f"Unknown: {why}. Its cost is shown as a floor, and budgets count a stand-in price. "
        "Give the model prices of its own."
    )


def _line(made: PriceList) -> str:
    return (
        f"{made.imported_at:%Y-%m-%d %H:%M} UTC  {made.source}  {made.title}  +{made.added} "
        f"~{made.changed} -{made.ended} ={made.unchanged}  {made.digest[:12]}"
    )


def _period(row: ModelPrice) -> str:
    end = f"{row.valid_until:%Y-%m-%d %H:%M}" if row.valid_until else "now"
    return f"{row.valid_from:%Y-%m-%d %H:%M} to {end}"


def _told(price: Price) -> str:
    parts = [_rates(price)]
    parts += [f"above {each.above_input_tokens:,} input tokens {_rates(each)}"
              for each in price.tiers]  # fmt: skip
    return "; ".join(parts) + " (a million tokens)"


def _rates(rates: Price | PriceTier) -> str:
    kinds = {
        "in": rates.input_usd,
        "out": rates.output_usd,
        "cached": rates.cache_read_usd,
        "cache write": rates.cache_write_usd,
        "reasoning": rates.reasoning_usd,
    }
    return ", ".join(f"{kind} ${_dollars(usd)}" for kind, usd in kinds.items() if usd is not None)


def _dollars(usd: Decimal) -> str:
    return f"{usd.normalize():f}"
