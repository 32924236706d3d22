"""JSON Schema reduced to what Gemini's function declarations accept.

Gemini reads a subset of OpenAPI 3.0 schemas and refuses requests with unknown keywords. What is
lost is only advice to the model: arguments are validated against the full schema before a call.
"""

from collections.abc import Mapping
from typing import Any

_KEPT = (
    frozenset({"type", "format", "title", "description", "nullable", "enum", "anyOf"})
    | {"properties", "required", "minProperties", "maxProperties", "items", "minItems", "maxItems"}
    | {"pattern", "minLength", "maxLength", "minimum", "maximum"}
)
_FORMATS = {
    "string": {"enum", "date-time"},
    "integer": {"int32", "int64"},
    "number": {"float", "double"},
}
_MAX_DEPTH = 24
_MAX_SCHEMAS = 5_000  # references that fan out would grow without bound


def cleaned_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the reduced schema, or None for an object without properties (takes no arguments)."""
    cleaned = _clean(schema, _Scope(schema), 0, ())
    if cleaned.get("type", "object") == "object" and not cleaned.get("properties"):
        return None
    return cleaned


class _Scope:
    """The whole schema, where references point, and how many more schemas may be written."""

    __slots__ = ("left", "root")

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.left = _MAX_SCHEMAS


def _clean(schema: Any, scope: _Scope, depth: int, path: tuple[str, ...]) -> dict[str, Any]:
    scope.left -= 1
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH or scope.left < 0:
        return {}
    source, path = _resolved(dict(schema), scope, path)
    for part in source.pop("allOf", None) or ():
        merged, path = _resolved(dict(part) if isinstance(part, Mapping) else {}, scope, path)
        source = _merged(source, merged)
    if "const" in source:
        source.setdefault("enum", [source["const"]])
    if "oneOf" in source:
        source.setdefault("anyOf", source["oneOf"])
    _split_types(source)
    kept = {key: value for key, value in source.items() if key in _KEPT}
    if "anyOf" in kept:
        _clean_choices(kept, scope, depth, path)
    if isinstance(kept.get("properties"), Mapping) and kept["properties"]:
        kept["properties"] = {
            name: _clean(inner, scope, depth + 1, path)
            for name, inner in kept["properties"].items()
        }
        required = [name for name in kept.get("required") or () if name in kept["properties"]]
        kept.pop("required", None)
        if required:
            kept["required"] = required
    else:
        kept.pop("properties", None)
        kept.pop("required", None)
    if "items" in kept or kept.get("type") == "array":
        kept["items"] = _clean(kept.get("items") or {}, scope, depth + 1, path) or {
            "type": "string"
        }
    _clean_words(kept)
    return kept


def _resolved(
    schema: dict[str, Any], scope: _Scope, path: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Replace a local `$ref` by what it names; a schema inside itself becomes any object."""
    while isinstance(reference := schema.pop("$ref", None), str):
        if reference in path or not reference.startswith("#"):
            return {"type": "object", **schema}, path
        path = (*path, reference)
        target: Any = scope.root
        for step in reference[1:].strip("/").split("/") if reference != "#" else ():
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return schema, path
        schema = {**target, **schema}
    return schema, path


def _merged(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    merged = {**right, **left}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**right["properties"], **left["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *right["required"]]
    return merged


def _split_types(source: dict[str, Any]) -> None:
    types = source.get("type")
    if not isinstance(types, list):
        return
    if "null" in types:
        source["nullable"] = True
    rest = [name for name in types if name != "null"]
    if len(rest) == 1:
        source["type"] = rest[0]
        return
    del source["type"]
    if rest:
        source.setdefault("anyOf", [{"type": name} for name in rest])


def _clean_choices(kept: dict[str, Any], scope: _Scope, depth: int, path: tuple[str, ...]) -> None:
    choices = [choice for choice in kept.pop("anyOf") if isinstance(choice, Mapping)]
    others = [choice for choice in choices if choice.get("type") != "null"]
    if len(others) < len(choices):
        kept["nullable"] = True
    cleaned = [_clean(choice, scope, depth + 1, path) for choice in others]
    if len(cleaned) == 1:
        for key, value in cleaned[0].items():
            kept.setdefault(key, value)
    elif cleaned:
        kept["anyOf"] = cleaned


def _clean_words(kept: dict[str, Any]) -> None:
    kind = kept.get("type")
    if kind is None and "properties" in kept:
        kind = kept["type"] = "object"
    if "format" in kept and kept["format"] not in _FORMATS.get(str(kind), set()):
        del kept["format"]
    if "enum" in kept:
        texts = [value for value in kept["enum"] if isinstance(value, str) and value]
        if texts and kind in (None, "string"):
            kept["type"], kept["enum"] = "string", texts
        else:
            del kept["enum"]  # only texts may be enumerated
