"""What applying a document did: a row as it was and as it is, and what differs between the two."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from agents.services.documents import Document
from governance.contracts import Actor

if TYPE_CHECKING:
    from governance.models import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one document; `action` is create, update or unchanged."""

    kind: str
    name: str
    action: str
    diff: tuple[Difference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A row as it was (None: there was none) and as it is."""

    before: dict[str, Any] | None
    after: dict[str, Any]


Applier: TypeAlias = "Callable[[Actor, Workspace, Document], Applied]"


def diff_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what differs, leaf by leaf, by dotted path; lists count as one value."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        Difference(path=path, before=old.get(path), after=new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        found: list[tuple[str, Any]] = []
        for name, inner in value.items():
            found += _leaves(inner, f"{path}.{name}" if path else str(name))
        return found
    if isinstance(value, Mapping):
        return []
    return [(path, _plain(value))]


def _plain(value: Any) -> Any:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value
