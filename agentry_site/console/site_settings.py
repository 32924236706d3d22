"""How this site is set up: every declared variable, what it is set to and what it is for.

Nothing is changed here: settings are the environment's, so that every process has the same.
"""

from dataclasses import dataclass
from itertools import groupby

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from agentry_site.console.pages import Page
from core.env import Told
from governance.guard.authentication import actor_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    rows: tuple[Told, ...]


class SiteSettings(Page):
    name = "site_settings"

    def urls(self) -> list[URLPattern]:
        return [path("settings/", self.site.admin_view(self.page_view), name=self.name)]

    def may_open(self, request: HttpRequest) -> bool:
        return actor_of(request).is_superuser

    def page_view(self, request: HttpRequest) -> HttpResponse:
        """Every variable by its section, those that are set marked. Site admins only."""
        if not self.may_open(request):
            raise PermissionDenied("How the site is set up is for site admins.")
        told = settings.ENV.told()
        sections = tuple(
            Section(title=title, rows=tuple(rows))
            for title, rows in groupby(told, key=lambda one: one.variable.section)
        )
        context = self.context(
            request,
            title=gettext("Settings"),
            sections=sections,
            given=sum(one.is_given for one in told),
            known=len(told),
        )
        return TemplateResponse(request, "console/settings/page.html", context)
