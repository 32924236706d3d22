"""What a run is pinned to: snapshots and their digests, specifications, prices."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from agents.contracts import SessionStrategy, Usage
from agents.engine.state import Limits
from agents.pricing import cost_of
from agents.snapshot import PinnedModel, PinnedTool, Snapshot, snapshot_of
from agents.spec import AgentSpec, LimitsSpec, limits_parse, rendered, spec_parse
from core.errors import InvalidInputError
from core.ids import new_id


def model(**fields: Any) -> PinnedModel:
    known: dict[str, Any] = {
        "name": "m",
        "provider_id": new_id(),
        "provider_kind": "own",
        "vendor_name": "model-1",
    }
    return PinnedModel(**{**known, **fields})


def snapshot(**fields: Any) -> Snapshot:
    known: dict[str, Any] = {
        "agent": "helper",
        "version": 1,
        "prompt": "Be brief.",
        "models": (model(input_price_usd=Decimal("0.10")),),
        "tools": (PinnedTool(name="echo", digest="d"),),
        "limits": Limits(max_cost_usd=Decimal("1.50")),
    }
    return Snapshot(**{**known, **fields})


def test_a_snapshot_survives_storage() -> None:
    made = snapshot()

    assert snapshot_of(msgspec.to_builtins(made)) == made


def test_a_digest_names_content_and_workspace() -> None:
    workspace, made = new_id(), snapshot()

    assert made.digest(workspace) == msgspec.structs.replace(made).digest(workspace)
    assert made.digest(workspace) != made.digest(new_id())
    assert made.digest(workspace) != msgspec.structs.replace(made, prompt="x").digest(workspace)


def test_a_specification_has_defaults() -> None:
    spec = spec_parse({})

    assert (spec.model, spec.tools, spec.limits) == ("", None, LimitsSpec())
    assert spec.session.strategy is SessionStrategy.REJECT
    assert spec.digest() == AgentSpec().digest() != spec_parse({"prompt": "x"}).digest()


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"promt": "x"}, "promt"),
        ({"limits": {"max_iterations": 0}}, "limits.max_iterations"),
        ({"limits": {"max_cost_usd": "0"}}, "limits.max_cost_usd"),
        ({"delegates": ["Not A Name"]}, "delegates.0"),
        ({"variables": {"1st": "x"}}, "variables"),
        ({"session": {"strategy": "shout"}}, "session.strategy"),
        ([], "specification"),
    ],
)
def test_a_mistake_is_named_by_its_place(document: Any, place: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        spec_parse(document)
    assert list(caught.value.fields) == [place]
    assert place in caught.value.message


def test_limits_are_checked_alone_too() -> None:
    assert limits_parse({"max_tokens": 5}).max_tokens == 5
    with pytest.raises(InvalidInputError, match=r"The limits has 1 mistake\(s\): max_tokens"):
        limits_parse({"max_tokens": "many"})


def test_variables_are_put_into_a_prompt_once() -> None:
    assert rendered("{{ a }}-{{b}}-{c}", {"a": "{{b}}", "b": "2"}) == "{{b}}-2-{c}"
    with pytest.raises(InvalidInputError, match="The prompt needs a, b, which nobody gave"):
        rendered("{{b}} {{a}} {{c}}", {"c": "1"})


MILLION = Usage(
    input_tokens=1_000_000,
    output_tokens=1_000_000,
    cache_read_tokens=200_000,
    cache_write_tokens=100_000,
)


def test_own_prices_count_cached_tokens_apart() -> None:
    priced = model(
        input_price_usd=Decimal(1),
        output_price_usd=Decimal(10),
        cache_read_price_usd=Decimal("0.1"),
        cache_write_price_usd=Decimal(2),
    )

    assert cost_of(priced, MILLION) == Decimal("10.92000000")


def test_cached_tokens_without_a_price_cost_what_others_do() -> None:
    priced = model(input_price_usd=Decimal(1), output_price_usd=Decimal(10))

    assert cost_of(priced, MILLION) == Decimal("11.00000000")


def test_more_cached_than_given_costs_nothing_negative() -> None:
    priced = model(input_price_usd=Decimal(1), output_price_usd=Decimal(1))

    assert cost_of(priced, Usage(cache_read_tokens=10)) == Decimal("0.00001000")


@pytest.mark.parametrize("fields", [{}, {"input_price_usd": Decimal(1)}])
def test_an_unknown_price_is_unknown_and_not_zero(fields: dict[str, Any]) -> None:
    assert cost_of(model(**fields), MILLION) is None
    assert cost_of(model(provider_kind="openai", vendor_name="no-such-model"), MILLION) is None


def test_a_script_costs_nothing() -> None:
    assert cost_of(model(provider_kind="scripted"), MILLION) == 0


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-3-5-haiku-latest"),
        ("gemini", "gemini-2.0-flash"),
    ],
)
def test_known_models_have_a_listed_price(kind: str, name: str) -> None:
    listed = model(provider_kind=kind, vendor_name=name)
    plain = cost_of(listed, Usage(input_tokens=1_000_000))
    cached = cost_of(listed, Usage(input_tokens=1_000_000, cache_read_tokens=1_000_000))

    assert plain is not None
    assert cached is not None
    assert Decimal(0) < cached < plain
