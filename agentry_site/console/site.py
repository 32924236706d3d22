"""The admin site as the console: guarded pages only, our sidebar, an overview instead of a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.translation import gettext_lazy as _

from agentry_site.console.documents import export_selected
from agentry_site.console.navigation import groups_for, place_of
from agentry_site.console.overview import overview_of
from agentry_site.console.page_list import PAGES
from agentry_site.console.pages import Page
from agentry_site.console.time_machine import TimeMachine
from core.admin import NOTHING
from core.api.problems import problem_headers
from governance.guard.admin import GuardedAdmin
from governance.guard.authentication import actor_of
from governance.guard.signing_in import SignInForm
from governance.services.users import password_recorded


class ConsoleSite(admin.AdminSite):
    site_header = "Agentry Cloud"
    site_title = "Agentry Cloud"
    index_title = _("Overview")
    site_url = None
    empty_value_display = NOTHING
    enable_nav_sidebar = True
    login_form = SignInForm

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.add_action(export_selected)
        self.pages: tuple[Page, ...] = tuple(page(self) for page in PAGES)

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        """Register a page that asks the decision point; leave every other one out.

        Installed packages bring pages of their own (groups, log entries) that would show rows of
        every workspace to whoever has Django's own permissions. They do not get in.
        """
        if admin_class is not None and issubclass(admin_class, GuardedAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Pages that put together what several apps know come before those of one app."""
        own = [address for page in self.pages for address in page.urls()]
        live = path("live/", self.admin_view(self.live), name="overview_live")
        return [*TimeMachine(site=self).urls(), live, *own, *super().get_urls()]

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in people with the staff mark; what each of them sees is decided page by page."""
        return super().has_permission(request) and not getattr(request.user, "is_service", False)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The sign-in page; 429 when the attempt was refused unseen."""
        response = super().login(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if isinstance(form, SignInForm) and form.refusal is not None:
            response.status_code = form.refusal.status
            for name, value in problem_headers(form.refusal).items():
                response[name] = value
        return response

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The page for one's own password; the new one is in the audit chain."""
        actor = actor_of(request)
        if actor.user_id is None:
            raise PermissionDenied
        with password_recorded(actor, user_id=actor.user_id):
            return super().password_change(request, extra_context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if context["has_permission"] and not context["is_popup"]:
            index_url = reverse(f"{self.name}:index")
            context["nav_groups"] = groups_for(
                context["available_apps"],
                [page.name for page in self.pages if page.may_open(request)],
                path=request.path,
                index_url=index_url,
            )
            context["place"] = place_of(context["nav_groups"])
            context["nav_search_url"] = reverse(f"{self.name}:find")
            context["nav_may_start"] = self._runs().has_start_permission(request)
        return context

    def _runs(self) -> Any:
        """The page of runs, which asks once what this person may do with them."""
        return self._registry[apps.get_model("agents.Run")]

    def live(self, request: HttpRequest) -> HttpResponse:
        """Return the parts of the overview that change, for a page that stays open."""
        context = {"overview": overview_of(self, request)}
        answer = render(request, "console/overview/live.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        context = {
            **self.each_context(request),
            "title": self.index_title,
            "overview": overview_of(self, request),
            **(extra_context or {}),
        }
        request.current_app = self.name
        return TemplateResponse(request, self.index_template or "admin/index.html", context)
