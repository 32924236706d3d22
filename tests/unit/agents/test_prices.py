"""What tokens cost, to the hundred-millionth: tiers, cached tokens, lists and the installed one."""

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from agents.contracts import CompletionRequest, ModelOptions, Price, PriceTier, Usage
from agents.execution.spending import most_of, tokens_at_most
from agents.pricing import (
    charge_of,
    cost_of,
    dollars_of,
    library_price,
    library_prices,
    library_vendor,
    price_of_library,
)
from agents.selectors.prices import listing_of
from agents.services.prices.models_dev import models_dev_prices
from agents.snapshot import PinnedModel, answered_by
from core.errors import InvalidInputError
from core.ids import new_id

TIERED = Price(
    input_usd=Decimal("1.25"),
    output_usd=Decimal(10),
    cache_read_usd=Decimal("0.125"),
    tiers=(
        PriceTier(
            above_input_tokens=200_000,
            input_usd=Decimal("2.5"),
            output_usd=Decimal(15),
            cache_read_usd=Decimal("0.25"),
        ),
        PriceTier(above_input_tokens=400_000, input_usd=Decimal(5), output_usd=Decimal(30)),
    ),
)


def pinned(**fields: Any) -> PinnedModel:
    known: dict[str, Any] = {
        "name": "m", "provider_id": new_id(), "provider_kind": "openai", "vendor_name": "v",
    }  # fmt: skip
    return PinnedModel(**{**known, **fields})


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        # Exactly at the limit everything pays the first price; one token more, all of it the next.
        (Usage(input_tokens=200_000, output_tokens=1_000), "0.26000000"),
        (Usage(input_tokens=200_001, output_tokens=1_000), "0.51500250"),
        (Usage(input_tokens=400_001, output_tokens=1_000), "2.03000500"),
        # Cached tokens are part of the input, and so of what decides the tier.
        (Usage(input_tokens=150_000, cache_read_tokens=100_000), "0.07500000"),
        (Usage(input_tokens=250_000, cache_read_tokens=100_000), "0.40000000"),
        # The last tier states no price for cached tokens: they cost what input does there.
        (Usage(input_tokens=500_000, cache_read_tokens=100_000), "2.50000000"),
        (Usage(input_tokens=1), "0.00000125"),
    ],
)
def test_a_call_is_paid_by_the_tier_of_its_whole_input(usage: Usage, dollars: str) -> None:
    assert str(dollars_of(TIERED, usage)) == dollars


def test_written_and_reasoning_tokens_have_prices_of_their_own() -> None:
    price = Price(
        input_usd=Decimal(3),
        output_usd=Decimal(15),
        cache_write_usd=Decimal("3.75"),
        reasoning_usd=Decimal(20),
    )
    usage = Usage(
        input_tokens=10_000, cache_write_tokens=4_000, output_tokens=1_000, reasoning_tokens=600
    )

    # 6,000 · 3 + 4,000 · 3.75 + 400 · 15 + 600 · 20, a million
    assert dollars_of(price, usage) == Decimal("0.051")


def test_what_was_pinned_counts_and_nothing_else() -> None:
    usage = Usage(input_tokens=1_000_000)
    listed = pinned(
        vendor_name="gpt-4o-mini", price_source="models.dev of 2026-01-01", listed=TIERED
    )
    unlisted = pinned(vendor_name="gpt-4o-mini", price_source="unknown")
    before = pinned(vendor_name="gpt-4o-mini")

    assert cost_of(listed, usage) == Decimal(5)
    assert cost_of(unlisted, usage) is None
    assert cost_of(before, usage) == Decimal("0.15")


def test_an_unknown_price_is_charged_as_declared(settings: Any) -> None:
    settings.UNKNOWN_INPUT_PRICE_USD = Decimal(2)
    settings.UNKNOWN_OUTPUT_PRICE_USD = Decimal(8)
    usage = Usage(input_tokens=1_000, output_tokens=100)
    unknown, known = pinned(price_source="unknown"), pinned(price_source="x", listed=TIERED)

    assert (charge_of(unknown, usage).usd, charge_of(unknown, usage).is_known) == (
        Decimal("0.0028"),
        False,
    )
    assert (charge_of(known, usage).usd, charge_of(known, usage).is_known) == (
        Decimal("0.00225"),
        True,
    )


def test_the_model_that_answered_is_the_one_that_is_paid() -> None:
    first, second = pinned(vendor_name="a"), pinned(vendor_name="b")

    assert answered_by("b", (first, second)) is second
    assert answered_by("a-2026-01-01", (first, second)) is first


def test_what_is_set_aside_covers_the_dearest_kind_of_token() -> None:
    price = Price(
        input_usd=Decimal(1),
        output_usd=Decimal(2),
        cache_write_usd=Decimal(3),
        reasoning_usd=Decimal(40),
    )
    request = CompletionRequest(
        model="v", system="", messages=(), options=ModelOptions(max_output_tokens=1_000_000)
    )
    tokens = tokens_at_most(request)

    most = most_of([pinned(price_source="x", listed=price)], request)

    assert most == 40 + tokens * Decimal(3) / 1_000_000


# --- models.dev ---------------------------------------------------------------------------------


def models_dev(cost: Any) -> bytes:
    vendors = {"v": {"id": "v", "api": "https://api.v.example/v1", "models": {"m": {"cost": cost}}}}
    return json.dumps(vendors).encode()


def served_at(address: str, *, name: str = "m") -> bytes:
    models = {name: {"cost": {"input": 1, "output": 1}}}
    return json.dumps({"v": {"api": address, "models": models}}).encode()


def test_a_list_of_models_dev_is_read_to_the_last_digit() -> None:
    content = models_dev(
        {
            "input": 0.1,
            "output": 0.30000000004,
            "cache_read": 0.0375,
            "input_audio": 9,
            "tiers": [
                {"input": 5, "output": 6, "tier": {"type": "context", "size": 272_000}},
                {"input": 3, "output": 4, "tier": {"type": "context", "size": 128_000}},
            ],
            "context_over_200k": {"input": 99, "output": 99},
        }
    )

    (found,) = models_dev_prices(content)

    assert found is not None
    assert (found.provider, found.vendor_name, found.host) == ("v", "m", "api.v.example")
    assert found.price == Price(
        input_usd=Decimal("0.1"),
        output_usd=Decimal("0.30000000004"),
        cache_read_usd=Decimal("0.0375"),
        tiers=(
            PriceTier(
                above_input_tokens=128_000,
                input_usd=Decimal(3),
                output_usd=Decimal(4),
                cache_read_usd=Decimal("0.0375"),
            ),
            PriceTier(
                above_input_tokens=272_000,
                input_usd=Decimal(5),
                output_usd=Decimal(6),
                cache_read_usd=Decimal("0.0375"),
            ),
        ),
    )


def test_the_older_form_of_a_larger_context_is_a_tier_too() -> None:
    (found,) = models_dev_prices(
        models_dev({"input": 2, "output": 10, "context_over_200k": {"input": 4, "output": 15}})
    )

    assert found is not None
    assert dollars_of(found.price, Usage(input_tokens=200_000)) == Decimal("0.4")
    assert dollars_of(found.price, Usage(input_tokens=200_001)) == Decimal("0.800004")


@pytest.mark.parametrize("cost", [None, {}, {"input": 1}, {"output": 1}])
def test_a_model_without_both_prices_is_left_out(cost: Any) -> None:
    assert list(models_dev_prices(models_dev(cost))) == [None]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<html>", "no price list of models.dev"),
        (b"{}", "names no model"),
        (models_dev({"input": -1, "output": 1}), "v/m: input costs -1, which is no price"),
        (models_dev({"input": 1, "output": "free"}), "no price list of models.dev"),
        (
            models_dev(
                {"input": 1, "output": 1, "tiers": [{"tier": {"type": "hour", "size": 1}}]},
            ),
            "v/m: a price tier of type 'hour'",
        ),
        (served_at("http://[v"), "v: 'http://\\[v' is no address"),
        (served_at(f"https://{'v' * 201}.example"), "is no address"),
        (served_at("https://v.example", name="m\x00"), "has a name with NUL"),
        (b'{"v": {"more": ' + b"[" * 100_000, "no price list of models.dev"),
        (
            b'{"v": {"models": {"m": {"cost": {"input": 1e9999999999999999999, "output": 1}}}}}',
            "no price",
        ),
    ],
)
def test_what_is_no_price_list_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        list(models_dev_prices(content))


# --- the installed library ----------------------------------------------------------------------


def test_the_installed_library_agrees_with_itself_on_every_model() -> None:
    """Our arithmetic and the library's, on each of its models with prices of tokens alone."""
    from genai_prices import Usage as ListedUsage
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import ModelPrice

    plain = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"}
    compared = tiered = 0
    for vendor in get_snapshot().providers:
        for listed in vendor.models:
            if not isinstance(listed.prices, ModelPrice) or listed.prices.__dict__.keys() - plain:
                continue
            price = price_of_library(listed)
            if price is None:
                continue
            for tokens in (1_000, 150_000, 300_000):
                usage = {
                    "input_tokens": tokens,
                    "output_tokens": 777,
                    "cache_read_tokens": 400,
                    "cache_write_tokens": 300,
                }
                told = listed.prices.calc_price(ListedUsage(**usage))["total_price"]
                assert dollars_of(price, Usage(**usage)) == told.quantize(Decimal("0.00000001"))
            compared += 1
            tiered += bool(price.tiers)

    assert compared > 500
    assert tiered > 10


def test_prices_by_the_hour_count_as_the_dearest() -> None:
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import TimeOfDateConstraint

    by_hour = [
        (listed, price_of_library(listed))
        for vendor in get_snapshot().providers
        for listed in vendor.models
        if isinstance(listed.prices, list)
        and any(isinstance(each.constraint, TimeOfDateConstraint) for each in listed.prices)
    ]

    assert by_hour
    for listed, price in by_hour:
        assert isinstance(listed.prices, list)
        assert price is not None
        all_inputs: list[Any] = [each.prices.input_mtok for each in listed.prices]
        assert price.input_usd == max(all_inputs)


def test_what_is_not_paid_by_tokens_is_not_in_the_list() -> None:
    found = list(library_prices())

    assert None in found
    assert len([each for each in found if each]) > 1_000
    assert price_of_library(_embedding()) is None


def _embedding() -> Any:
    from genai_prices.types import ModelPrice

    return SimpleNamespace(prices=ModelPrice(input_mtok=Decimal("0.02")))


@pytest.mark.parametrize(
    ("base_url", "vendor"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.openai.com.evil.example/v1", ""),
        ("http://127.0.0.1:11434/v1", ""),
        ("https://models.corp.example/v1", ""),
    ],
)
def test_a_vendor_is_known_by_its_address(base_url: str, vendor: str) -> None:
    assert library_vendor(base_url) == vendor


def test_a_model_is_looked_up_where_it_is_served() -> None:
    plain = listing_of("anthropic", "", "claude-sonnet-4-5-20250929")
    own = listing_of("openai", "http://localhost:8000/v1", "gpt-4o")
    script = listing_of("scripted", "", "gpt-4o")

    assert plain.vendor == "anthropic"
    assert plain.names[0] == "claude-sonnet-4-5-20250929"
    assert library_price(plain.vendor, plain.names[0]) is not None
    assert (own.vendor, own.host, own.names) == ("", "localhost", ("gpt-4o",))
    assert not script.is_listable
