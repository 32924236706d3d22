"""How descriptions of requests are put together: paths, queries and readers of answers."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import msgspec

from agentry.client.errors import NotFound
from agentry.client.flow import API

T = TypeVar("T")

# What has an id and no name: what one is called, and the command that lists them.
_NAMED_BY_ID = {
    "runs": ("run", "runs ls"),
    "approvals": ("approval", "approvals ls"),
    "grants": ("grant", "grants ls"),
    "delegations": ("delegation", "delegations ls"),
    "deliveries": ("delivery", "channels deliveries"),
    "tokens": ("token", "tokens ls"),
    "tool-calls": ("tool call", "calls ls --state committed"),
}


def reads(kind: type[T]) -> Callable[[bytes], T]:
    """A reader of JSON into this record; numbers and times may come as strings."""
    return msgspec.json.Decoder(kind, strict=False).decode


def nothing(content: bytes) -> None:
    """Reads answers that have no content, such as 204."""


def new_key() -> str:
    """An idempotency key for a request that makes something: with it a repeat makes no second."""
    return str(uuid4())


def in_workspace(*parts: str | int) -> str:
    return f"{API}/workspaces/{{workspace}}" + "".join(f"/{quote(str(p), safe='')}" for p in parts)


def of_run(run_id: str, *parts: str) -> str:
    """The path of a run. Raises `NotFound` for what cannot be the id of any."""
    return of("runs", run_id, *parts)


def of(collection: str, identity: str, *parts: str) -> str:
    """The path of what is named by an id. Raises `NotFound` for what cannot be the id of any."""
    return in_workspace(collection, checked_id(collection, identity), *parts)


def checked_id(collection: str, identity: str) -> str:
    """Return the id. Raises `NotFound` for what cannot be one, in words of what it should name."""
    noun, listing = _NAMED_BY_ID[collection]
    try:
        UUID(str(identity))
    except ValueError:
        article = "an" if noun[0] in "aeiou" else "a"
        raise NotFound(
            f"There is no {noun} {str(identity)!r}: the id of {article} {noun} is a UUID.",
            remedy=f"`agentry {listing}` lists the {collection.replace('-', ' ')} with their ids.",
        ) from None
    return str(identity)


def query(**values: Any) -> dict[str, str]:
    """A query without what was not asked for; times in ISO 8601, booleans in lower case."""
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value.value) if isinstance(value, Enum) else str(value)


def body(**values: Any) -> dict[str, Any]:
    """A JSON object without what was not asked for; money stays exact as text."""
    return {name: _json(value) for name, value in values.items() if value is not None}


def _json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    return value
