"""The page of errors: what goes wrong, by its cause, and the way to each."""

from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agentry_site.console.causes import HANDLED, MOST, PERIODS, Cause, causes
from agentry_site.console.pages import Page
from governance.contracts import Perm
from governance.guard.authentication import actor_of

SHOWN: Final = 100
SOURCES: Final = {
    "run": _("Runs"),
    "call": _("Tool calls"),
    "delivery": _("Deliveries"),
    "worker": _("Workers"),
    HANDLED: _("Tool errors dealt with"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tab:
    value: str
    title: str
    is_on: bool
    count: int = 0


class Errors(Page):
    """Whoever sees runs; words only where payloads may be read."""

    name = "errors"

    def urls(self) -> list[URLPattern]:
        return [path("errors/", self.site.admin_view(self.view), name=self.name)]

    def may_open(self, request: HttpRequest) -> bool:
        return bool(self._runs().has_view_permission(request))

    def _runs(self) -> Any:
        """The page of runs, which has asked already what this person may do with them."""
        return self.site._registry[apps.get_model("agents.Run")]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_open(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_VIEW}.")
        actor = actor_of(request)
        period = request.GET.get("within", "24h")
        source = request.GET.get("source", "")
        if period not in PERIODS or (source and source not in SOURCES):
            raise BadRequest("The address names no such time or kind of error.")
        found = causes(actor, period)
        # What models dealt with themselves is no error of the site, and is shown when asked for.
        usual = {source} if source else set(SOURCES) - {HANDLED}
        shown = [cause for cause in found if cause.source in usual]
        context = self.context(
            request,
            title=gettext("Errors"),
            causes=shown[:SHOWN],
            left_out=max(len(shown) - SHOWN, 0),
            total=sum(cause.count for cause in shown),
            is_bounded=any(_of(found, each) >= MOST for each in SOURCES),
            most=MOST,
            period=period,
            source=source,
            is_handled=source == HANDLED,
            period_title=PERIODS[period][0],
            periods=[
                Tab(value=value, title=title.capitalize(), is_on=value == period)
                for value, (title, _) in PERIODS.items()
            ],
            sources=[
                Tab(value=value, title=str(title), is_on=value == source, count=_of(found, value))
                for value, title in SOURCES.items()
            ],
            may_control=self._runs().has_control_permission(request),
        )
        return TemplateResponse(request, "console/errors/page.html", context)


def _of(found: list[Cause], source: str) -> int:
    return sum(cause.count for cause in found if cause.source == source)
