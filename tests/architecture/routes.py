"""Every address the site answers, read from its URL configuration and its socket routes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`path` is the pattern as written; `namespaces` those it lies in, outermost first."""

    path: str
    callback: Any
    namespaces: tuple[str, ...]

    @property
    def view_class(self) -> type | None:
        """The class behind the view function, for REST framework's and Django's own views."""
        found = getattr(self.callback, "cls", None) or getattr(self.callback, "view_class", None)
        return found if isinstance(found, type) else None

    @property
    def actions(self) -> dict[str, str]:
        """HTTP method to action name; for plain views the methods themselves."""
        declared: dict[str, str] | None = getattr(self.callback, "actions", None)
        if declared:
            return declared
        names = ("get", "post", "put", "patch", "delete")
        return {name: name for name in names if hasattr(self.view_class, name)}


def http_routes() -> list[Route]:
    return list(_walk(get_resolver().url_patterns, prefix="/", namespaces=()))


def _walk(patterns: list[Any], *, prefix: str, namespaces: tuple[str, ...]) -> Iterator[Route]:
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            yield from _walk(entry.url_patterns, prefix=path, namespaces=inner)
        elif isinstance(entry, URLPattern):
            yield Route(path=path, callback=entry.callback, namespaces=namespaces)
