"""Strict serializers: a name that is not known is a mistake to point out, not to ignore."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers


def unknown_sentence(name: str, known: Iterable[str]) -> str:
    """Return the sentence about an unknown name, with the nearest known one."""
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1)
    if close:
        return f"Unknown field. Did you mean {close[0]!r}?"
    return f"Unknown field. Known: {', '.join(candidates) or 'none'}."


class StrictMixin:
    """Refuses unknown and read-only names in the input, all at once."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            fields: Mapping[str, serializers.Field[Any, Any, Any, Any]] = self.fields  # type: ignore[attr-defined]  # comes with the serializer mixed in
            writable = [name for name, field in fields.items() if not field.read_only]
            refused: dict[str, list[str]] = {}
            for name in data:
                if name not in fields:
                    refused[str(name)] = [unknown_sentence(str(name), writable)]
                elif fields[name].read_only:
                    refused[str(name)] = ["This field is read-only; leave it out."]
            if refused:
                raise serializers.ValidationError(refused)
        return super().to_internal_value(data)  # type: ignore[misc]  # as above


class StrictSerializer(StrictMixin, serializers.Serializer[Any]):
    """Base of all input serializers."""


class StrictModelSerializer(StrictMixin, serializers.ModelSerializer[Any]):
    """Base of serializers that show a row; writing still goes through a service."""
