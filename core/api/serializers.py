"""Strict serializers: a name that is not known is a mistake to point out, not to ignore.

The same for types: JSON has numbers, texts and truth values of its own, and none of them is read as
another.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers

NOT_AN_OBJECT = "This takes a JSON object: names with values, in braces."

# The first matching row counts; fields in no row take what they take.
_TYPES: tuple[tuple[tuple[type[Any], ...], tuple[type[Any], ...], str], ...] = (
    ((serializers.BooleanField,), (bool,), "true or false"),
    ((serializers.IntegerField,), (int,), "a whole number"),
    ((serializers.FloatField,), (int, float), "a number"),
    ((serializers.DecimalField,), (int, float, str), "a number or its text"),
    (
        (
            serializers.CharField,
            serializers.ChoiceField,
            serializers.UUIDField,
            serializers.DateTimeField,
            serializers.DateField,
        ),
        (str,),
        "a text",
    ),
)


def unknown_sentence(name: str, known: Iterable[str]) -> str:
    """Return the sentence about an unknown name, with the nearest known one."""
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1)
    if close:
        return f"Unknown field. Did you mean {close[0]!r}?"
    return f"Unknown field. Known: {', '.join(candidates) or 'none'}."


def choice_sentence(value: str, known: Iterable[str]) -> str:
    """Return the sentence about a value that is none of those a place takes."""
    choices = [str(choice) for choice in known]
    close = difflib.get_close_matches(value, choices, n=1)
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    return f"{value!r} is not known here.{nearest} Known: {', '.join(choices)}."


def type_errors(field: Any, value: Any) -> Any:
    """Return the errors about types and choices in what a field is given; nothing when it fits."""
    if value is None:
        return None  # whether null may be is the field's own question
    if isinstance(field, serializers.ListField):
        if not isinstance(value, list):
            return ["This takes a list."]
        found = {
            str(index): errors
            for index, item in enumerate(value)
            if (errors := type_errors(field.child, item))
        }
        return found or None
    for kinds, wanted, words in _TYPES:
        if isinstance(field, kinds) and not isinstance(field, serializers.MultipleChoiceField):
            fits = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
            return _choice_errors(field, value) if fits else [f"This takes {words}."]
    return None


def _choice_errors(field: Any, value: Any) -> list[str] | None:
    if not isinstance(field, serializers.ChoiceField) or value in field.choices:
        return None
    if value == "" and field.allow_blank:
        return None
    return [choice_sentence(value, field.choices)]


class StrictMixin:
    """Refuses unknown and read-only names and wrong types in the input, all at once."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            fields: Mapping[str, serializers.Field[Any, Any, Any, Any]] = self.fields  # type: ignore[attr-defined]  # comes with the serializer mixed in
            writable = [name for name, field in fields.items() if not field.read_only]
            refused: dict[str, Any] = {}
            for name, value in data.items():
                if name not in fields:
                    refused[str(name)] = [unknown_sentence(str(name), writable)]
                elif fields[name].read_only:
                    refused[str(name)] = ["This field is read-only; leave it out."]
                elif errors := type_errors(fields[name], value):
                    refused[str(name)] = errors
            if refused:
                raise serializers.ValidationError(refused)
        else:
            raise serializers.ValidationError({"non_field_errors": [NOT_AN_OBJECT]})
        return super().to_internal_value(data)  # type: ignore[misc]  # as above


class StrictSerializer(StrictMixin, serializers.Serializer[Any]):
    """Base of all input serializers."""


class NothingInput(StrictSerializer):
    """An action that takes nothing; a body, if there is one, is an empty object."""


class StrictModelSerializer(StrictMixin, serializers.ModelSerializer[Any]):
    """Base of serializers that show a row; writing still goes through a service."""
