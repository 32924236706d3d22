"""Arguments of built-in tools: one typed record is the schema a model reads and its decoder."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from plugins.errors import InvalidArgumentsError

Record = TypeVar("Record", bound=msgspec.Struct)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

FilePath = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=4000,
        description="Path of a file, relative to the workspace, such as src/main.py.",
    ),
]
FolderPath = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=4000,
        description="Path of a folder, relative to the workspace; `.` is the workspace itself.",
    ),
]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every tool's arguments; unknown names are refused."""


def schema_of(record: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record, written flat: no references, no titles."""
    (root,), components = msgspec.json.schema_components([record], ref_template="{name}")
    schema = _flat(root, components)
    return {"$schema": DIALECT, **schema}


def _flat(node: Any, components: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_flat(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = _flat(components[node["$ref"]], components)
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return {
        key: _flat(value, components)
        for key, value in node.items()
        # `title` is the record's class name, which says nothing to a model.
        if not (key == "title" and isinstance(value, str))
    }


def decode(record: type[Record], arguments: Mapping[str, Any], tool: str) -> Record:
    """Turn checked or unchecked arguments into their record. Raises `InvalidArgumentsError`."""
    try:
        # Through JSON, because there 5.0 is an integer, as the schema says it is.
        return msgspec.json.decode(msgspec.json.encode(dict(arguments)), type=record)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError) as error:
        raise InvalidArgumentsError(
            f"The arguments of {tool} do not fit its schema: {error}.",
            remedy="Send the call again with the arguments its schema asks for.",
        ) from error
