"""Strict JSON accepts what JSON is and says where the rest is wrong."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import serializers

from core.api.parsers import MAX_DEPTH, decode_json, refuse_oversize
from core.api.serializers import StrictSerializer
from core.errors import InvalidInputError, PayloadTooLargeError

_text = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(_json)
@settings(max_examples=60, deadline=None)
def test_every_storable_value_comes_through(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value
    assert decode_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_a_value_or_a_sentence(body: bytes) -> None:
    sentence = "fine."
    try:
        decode_json(body)
    except InvalidInputError as error:
        sentence = error.message
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is not JSON: Expecting value at line 1, column 1."),
        (b'{"a": 1,\n "b" 2}', "Expecting ':' delimiter at line 2, column 6."),
        (b'{"a": "\xc3"}', "The body is not UTF-8 at byte 7."),
        (b"[Infinity]", "Infinity is not a JSON number."),
        (b"[-Infinity]", "-Infinity is not a JSON number."),
        (b"[1e999]", "The number 1e999 is out of range."),
        (b"[" + b"9" * 5000 + b"]", "A number has 5000 digits; that is out of range."),
        (b'{"x": {"a": 1, "b": 2, "a": 3}}', 'The name "a" occurs twice in one object.'),
        (b'{"a": {"b": ["x", "\\u0000"]}}', 'The text at "a.b.1" contains the character NUL'),
        (b'{"a": "\\ud800 x"}', 'The text at "a" contains half of a surrogate pair'),
        (b'"\\udc00"', "The text at the top contains half of a surrogate pair"),
        (b'{"\\u0000": 1}', "contains the character NUL"),
        (b"[" * 100 + b"]" * 100, f"nested deeper than {MAX_DEPTH} levels."),
        (b"[" * 100_000, f"nested deeper than {MAX_DEPTH} levels."),
        (b'{"a":' * 100 + b"1" + b"}" * 100, f"nested deeper than {MAX_DEPTH} levels."),
    ],
)
def test_the_place_of_a_mistake_is_named(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        decode_json(body)
    assert sentence in refused.value.message


def test_the_deepest_document_is_accepted() -> None:
    assert decode_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None


def test_a_large_body_is_refused_by_its_size() -> None:
    refuse_oversize(10, 10)
    with pytest.raises(PayloadTooLargeError, match="larger than 10 bytes"):
        refuse_oversize(11, 10)


class _Input(StrictSerializer):
    name = serializers.CharField()
    count = serializers.IntegerField(required=False)
    share = serializers.FloatField(required=False)
    is_on = serializers.BooleanField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    anything = serializers.JSONField(required=False)
    made_at = serializers.DateTimeField(read_only=True)


def _errors(data: Any) -> Any:
    serializer = _Input(data=data)
    assert not serializer.is_valid()
    return serializer.errors


def test_unknown_and_read_only_names_are_refused_together() -> None:
    errors = _errors({"nam": "x", "zzz": 1, "made_at": "2026-01-01"})
    assert errors["nam"] == ["Unknown field. Did you mean 'name'?"]
    assert str(errors["zzz"][0]).startswith("Unknown field. Known: anything, count,")
    assert errors["made_at"] == ["This field is read-only; leave it out."]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"name": 5}, "name"),
        ({"name": True}, "name"),
        ({"name": "x", "count": "5"}, "count"),
        ({"name": "x", "count": 1.5}, "count"),
        ({"name": "x", "count": True}, "count"),
        ({"name": "x", "share": "1"}, "share"),
        ({"name": "x", "is_on": "true"}, "is_on"),
        ({"name": "x", "is_on": 1}, "is_on"),
        ({"name": "x", "tags": "a"}, "tags"),
        ({"name": "x", "tags": ["a", 2]}, "tags"),
    ],
)
def test_no_type_is_read_as_another(data: Any, place: str) -> None:
    assert list(_errors(data)) == [place]


def test_right_types_are_taken() -> None:
    data = {
        "name": "x", "count": 1, "share": 1, "is_on": False, "tags": ["a"], "anything": {"a": [1]},
    }  # fmt: skip
    serializer = _Input(data=data)
    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data == data
