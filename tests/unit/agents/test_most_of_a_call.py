"""The most a model call can cost: never less than what the vendor can charge for it."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.contracts import CompletionRequest, ModelOptions, Usage, user_message
from agents.execution.spending import (
    OUTPUT_TOKENS,
    bounded_request,
    most_of,
    output_at_most,
    tokens_at_most,
)
from agents.pricing import charge_of, cost_of, is_untold, stand_in
from agents.snapshot import PinnedModel
from governance.budgets import LARGEST_USD

MILLION = Decimal(1_000_000)


def asking(text: str = "hello", **options: Any) -> CompletionRequest:
    return CompletionRequest(
        model="m",
        system="Be brief.",
        messages=(user_message(text),),
        options=ModelOptions(**options),
    )


def model(kind: str = "own", **prices: str) -> PinnedModel:
    known: dict[str, Any] = {f"{name}_price_usd": Decimal(price) for name, price in prices.items()}
    return PinnedModel(
        name="m", provider_id=UUID(int=1), provider_kind=kind, vendor_name="v", **known
    )


@given(text=st.text(max_size=300))
def test_no_text_has_more_tokens_than_are_counted(text: str) -> None:
    """A tokenizer's smallest piece is a byte."""
    grown = tokens_at_most(asking(text)) - tokens_at_most(asking(""))

    assert grown >= len(text.encode("utf-8", "surrogatepass"))


def test_an_answer_without_a_bound_gets_one() -> None:
    bounded = bounded_request(asking())

    assert bounded.options.max_output_tokens == OUTPUT_TOKENS == output_at_most(bounded)
    assert bounded_request(asking(max_output_tokens=5)) == asking(max_output_tokens=5)


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({"max_output_tokens": 100}, 100),
        ({"max_output_tokens": 100, "extra": {"max_completion_tokens": 5_000}}, 5_000),
        ({"extra": {"generationConfig": {"maxOutputTokens": 700}}}, 700),
        ({"max_output_tokens": 100, "extra": {"n": 4}}, 400),
        ({"extra": {"max_tokens": "many"}}, OUTPUT_TOKENS),
    ],
)
def test_what_is_passed_to_the_vendor_as_it_is_counts_too(
    options: dict[str, Any], tokens: int
) -> None:
    assert output_at_most(bounded_request(asking(**options))) == tokens


@pytest.mark.parametrize(
    ("kinds", "extra"),
    [
        (["openai"], {"metadata": {"max_tokens": 1}}),
        (["openai"], {"generationConfig": {"maxOutputTokens": 1}}),
        (["openai"], {"max_tokens": None}),
        (["openai"], {"max_tokens": -1}),
        (["openai"], {"max_completion_tokens": True}),
        (["anthropic"], {"max_completion_tokens": 1}),
        (["gemini"], {"maxOutputTokens": 1}),
        (["gemini"], {"generationConfig": {"maxOutputTokens": None}}),
        (["openai", "gemini"], {"max_tokens": 1}),
    ],
)
def test_what_a_vendor_does_not_heed_bounds_no_answer(
    kinds: list[str], extra: dict[str, Any]
) -> None:
    bounded = bounded_request(asking(extra=extra), kinds)

    assert bounded.options.max_output_tokens == OUTPUT_TOKENS == output_at_most(bounded)


def test_a_bound_is_not_taken_away_by_what_is_passed_as_it_is() -> None:
    given = {"max_tokens": None, "generationConfig": {"maxOutputTokens": 0, "topK": 4}, "user": "u"}
    bounded = bounded_request(asking(max_output_tokens=100, extra=given), ["openai"])

    assert bounded.options.extra == {"generationConfig": {"topK": 4}, "user": "u"}
    assert (bounded.options.max_output_tokens, output_at_most(bounded)) == (100, 100)


@pytest.mark.parametrize(
    ("extra", "tokens"),
    [
        ({"max_tokens": 2e4}, 20_000),
        ({"max_tokens": "20000"}, 20_000),
        ({"n": "3"}, 3 * OUTPUT_TOKENS),
        ({"n": -2}, OUTPUT_TOKENS),
        ({"max_tokens": 10**60}, 10**9),
        ({"max_tokens": float("inf")}, OUTPUT_TOKENS),
    ],
)
def test_numbers_count_as_a_lenient_server_reads_them(extra: dict[str, Any], tokens: int) -> None:
    assert output_at_most(bounded_request(asking(extra=extra), ["openai"])) == tokens


def test_the_most_of_a_call_fits_into_what_counts_it() -> None:
    request = asking(max_output_tokens=10**40)

    assert most_of([model(input="1", output="999999")], request) == LARGEST_USD


def test_an_answer_whose_tokens_nobody_told_is_not_free() -> None:
    """Servers leave usage out, and options that are passed as they are can ask them to."""
    priced = model("openai", input="1", output="2")

    assert cost_of(priced, Usage()) is None
    assert cost_of(model("openai", input="0", output="0"), Usage()) == 0
    assert cost_of(model("scripted", input="1", output="2"), Usage()) == 0
    assert (is_untold(priced, Usage()), is_untold(priced, Usage(output_tokens=1))) == (True, False)


def test_the_dearest_model_of_the_chain_is_counted() -> None:
    cheap, dear = model(input="1", output="2"), model(input="3", output="40")
    request = asking(max_output_tokens=1_000)
    expected = (tokens_at_most(request) * 3 + 1_000 * 40) / MILLION

    assert most_of([cheap, dear], request) == expected.quantize(Decimal("0.00000001"))


def test_writing_a_cache_counts_where_it_is_dearer() -> None:
    priced = model(input="4", output="0", cache_write="5")
    request = asking(max_output_tokens=1)

    assert most_of([priced], request) == tokens_at_most(request) * 5 / MILLION


def test_an_unknown_price_is_a_high_one() -> None:
    request = asking(max_output_tokens=1_000)
    charge = charge_of(model(), Usage(input_tokens=10, output_tokens=5))

    assert most_of([model()], request) >= 1_000 * stand_in().output_usd / MILLION
    assert (charge.usd, charge.is_known) == (Decimal("0.00052500"), False)


def test_a_script_is_free_unless_it_has_prices() -> None:
    usage = Usage(input_tokens=1_000_000)

    assert most_of([model("scripted")], asking()) == 0
    assert cost_of(model("scripted"), usage) == 0
    assert cost_of(model("scripted", input="2", output="3"), usage) == 2
    assert msgspec.to_builtins(charge_of(model("scripted"), usage).usd) == "0"
