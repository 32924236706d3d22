"""Pages that belong to no single model: what each of them is. `page_list` says which there are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.apps import apps
from django.contrib.admin import AdminSite, ModelAdmin
from django.http import HttpRequest
from django.urls import URLPattern, reverse


class Page(ABC):
    """One page of the console with its addresses. Its place in the sidebar is in `navigation`.

    Every view goes through `site.admin_view` and asks `governance.access` for itself: what the
    sidebar leaves out is not thereby forbidden.
    """

    name: ClassVar[str]  # reverse(f"admin:{name}") is the page

    def __init__(self, site: AdminSite) -> None:
        self.site = site

    @abstractmethod
    def urls(self) -> list[URLPattern]:
        """Return the page's address, and those of its parts."""

    @abstractmethod
    def may_open(self, request: HttpRequest) -> bool:
        """Say whether the page would show this person anything."""

    def context(self, request: HttpRequest, **more: Any) -> dict[str, Any]:
        """What every page of the console is drawn with, and `more`."""
        return {**self.site.each_context(request), **more}


def open_list(site: AdminSite, request: HttpRequest, label: str) -> "ModelAdmin[Any] | None":
    """Return the page of a model, such as agents.Run, where this person may open it."""
    page = site._registry.get(apps.get_model(label))
    return page if page is not None and page.has_view_permission(request) else None


def list_url(label: str, filters: Iterable[tuple[str, str]] = ()) -> str:
    """Return the address of a model's list, narrowed by `filters`."""
    url = reverse(f"admin:{label.lower().replace('.', '_')}_changelist")
    query = urlencode(list(filters))
    return f"{url}?{query}" if query else url
