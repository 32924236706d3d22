"""Schemas written to hurt: checking arguments against them takes bounded time and asks nobody."""

import time
from typing import Any

import pytest

from core.errors import InvalidInputError
from plugins.schemas import Checker, unusable
from plugins.services.tools import _read

_FAN_OUT: dict[str, Any] = {
    **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)},
    "d40": {"type": "object"},
}
_BACKTRACKING = {"type": "string", "pattern": "^(a+)+$"}
_UNCHECKED = "arguments: cannot be checked (too large or too deep for the schema)"


def _seconds(schema: dict[str, Any], arguments: dict[str, Any]) -> tuple[str, float]:
    started = time.perf_counter()
    complaint = Checker(schema).complaint(arguments)
    return complaint, time.perf_counter() - started


def test_a_pattern_made_for_backtracking_is_checked_at_once() -> None:
    schema = {"type": "object", "properties": {"a": _BACKTRACKING}}
    complaint, seconds = _seconds(schema, {"a": "a" * 100_000 + "b"})

    assert complaint.startswith("a: 'aaa")
    assert seconds < 10
    assert Checker(schema).complaint({"a": "aaaa"}) == ""


def test_a_dialect_inside_the_schema_does_not_change_the_engine() -> None:
    inner = {"$schema": "http://json-schema.org/draft-07/schema#", **_BACKTRACKING}
    schema = {"type": "object", "properties": {"a": inner}}
    complaint, seconds = _seconds(schema, {"a": "a" * 100_000 + "b"})

    assert complaint.startswith("a: 'aaa")
    assert seconds < 10


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "$ref": "#/$defs/d0", "$defs": _FAN_OUT},
        {
            "type": "object",
            "$ref": "#/$defs/d0",
            "$defs": _FAN_OUT,
            "unevaluatedProperties": False,
        },
        {"type": "object", "$ref": "#"},
    ],
)
def test_references_that_fan_out_or_never_end_are_given_up(schema: dict[str, Any]) -> None:
    complaint, seconds = _seconds(schema, {"a": 1})

    assert complaint == _UNCHECKED
    assert seconds < 10


def test_a_reference_that_leads_outside_is_never_fetched() -> None:
    complaint, _ = _seconds({"type": "object", "$ref": "http://127.0.0.1:9/schema"}, {})

    assert complaint.startswith("arguments: cannot be checked (")


def test_many_different_items_are_compared_in_linear_time() -> None:
    schema = {"type": "object", "properties": {"a": {"uniqueItems": True}}}
    complaint, seconds = _seconds(schema, {"a": [{"x": n} for n in range(50_000)]})

    assert complaint == ""
    assert seconds < 5
    assert Checker(schema).complaint({"a": [1, 1.0]}) == "a: the items are not all different"
    assert Checker(schema).complaint({"a": [1, True, "1", {"x": 1}, {"x": 2}]}) == ""


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"patternProperties": {"^(a+)+$": {}}}, "patternProperties is not supported"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "the pattern '(?=a)' is not supported"),
    ],
)
def test_what_cannot_be_bounded_is_refused_when_declared_and_when_called(
    schema: dict[str, Any], why: str
) -> None:
    whole = {"type": "object", **schema}

    assert unusable(whole).startswith(why)
    assert Checker(whole).complaint({"a": "a"}).startswith(f"arguments: cannot be checked ({why}")
    with pytest.raises(InvalidInputError) as refused:
        _read({"description": "x", "url": "https://example.com/x", "input_schema": whole})
    assert list(refused.value.fields) == ["input_schema"]
