"""JSON for pages: big values are cut and named, and had whole one at a time.

A place within a value is a JSON Pointer (RFC 6901).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import NotFoundError

MAX_CHARACTERS: Final = 4_000
MAX_MEMBERS: Final = 200
MAX_DEPTH: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """`cut` says what was left out: the pointer of a value, and how long the whole is."""

    value: Any
    cut: Mapping[str, int] = field(default_factory=dict)


def bounded(value: Any) -> Bounded:
    """Return a value small enough for a page."""
    cut: dict[str, int] = {}
    return Bounded(value=_bounded(value, (), cut), cut=cut)


def pointer_of(path: Iterable[str]) -> str:
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)


def value_at(value: Any, pointer: str) -> Any:
    """Return what stands at a place.

    Raises:
        NotFoundError: Nothing does.
    """
    if pointer and not pointer.startswith("/"):
        raise _nothing(pointer)
    for raw in pointer.split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isascii() and part.isdecimal() and len(part) < 10:
            if int(part) >= len(value):
                raise _nothing(pointer)
            value = value[int(part)]
        else:
            raise _nothing(pointer)
    return value


def _nothing(pointer: str) -> NotFoundError:
    return NotFoundError(
        f"There is nothing at {pointer[:200]!r}.", remedy="Take the pointer from the cut value."
    )


def _bounded(value: Any, path: tuple[str, ...], cut: dict[str, int]) -> Any:
    if isinstance(value, str):
        if len(value) <= MAX_CHARACTERS:
            return value
        cut[pointer_of(path)] = len(value)
        return value[:MAX_CHARACTERS]
    if not isinstance(value, dict | list) or not value:
        return value
    if len(path) >= MAX_DEPTH:
        cut[pointer_of(path)] = len(value)
        return type(value)()
    if len(value) > MAX_MEMBERS:
        cut[pointer_of(path)] = len(value)
    if isinstance(value, list):
        members = enumerate(value[:MAX_MEMBERS])
        return [_bounded(item, (*path, str(index)), cut) for index, item in members]
    names = list(value)[:MAX_MEMBERS]
    return {name: _bounded(value[name], (*path, name), cut) for name in names}
