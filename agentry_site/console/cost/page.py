"""Addresses of the cost page: the page, the part that is renewed, and the copies to take away."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext

from agentry_site.console.cost.asked import SPANS, Asked, Measure, asked_of
from agentry_site.console.cost.export import csv_lines, json_pieces
from agentry_site.console.cost.shown import Links, report_shown
from agentry_site.console.pages import Page, list_url, open_list
from agents.selectors.cost import Period, cost_report
from core.api.lines import streamed
from core.api.sheets import MEDIA_TYPE
from core.errors import DomainError
from governance.contracts import Perm
from governance.guard.admin import may_somewhere
from governance.guard.authentication import actor_of
from governance.selectors.workspaces import workspaces_permitted


class CostPage(Page):
    name = "cost"

    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("cost/", view(self.page_view), name="cost"),
            path("cost/part/", view(self.part_view), name="cost_part"),
            path("cost/cost.csv", view(self.csv_view), name="cost_csv"),
            path("cost/cost.json", view(self.json_view), name="cost_json"),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        actor = actor_of(request)
        return actor.is_superuser or may_somewhere(request, actor, Perm.BUDGET_VIEW)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        asked = self._asked(request)
        context = self.context(
            request,
            title=gettext("Cost"),
            periods=_choices(asked, "period", [(each.value, str(SPANS[each])) for each in Period]),
            measures=_choices(
                asked, "measure", [(each.value, capfirst(each.word)) for each in Measure]
            ),
            part_url=_address("cost_part", asked),
            csv_url=_address("cost_csv", asked),
            json_url=_address("cost_json", asked),
            budgets_url=self._list_of(request, "governance.Budget"),
            **self._live(request, asked),
        )
        return TemplateResponse(request, "console/cost/page.html", context)

    def part_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the figures alone, for a page that is open."""
        asked = self._asked(request)
        return TemplateResponse(request, "console/cost/live.html", self._live(request, asked))

    def csv_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        asked = self._asked(request)
        return _file(
            request, csv_lines(actor_of(request), asked), MEDIA_TYPE, f"cost-{asked.slug}.csv"
        )

    def json_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        asked = self._asked(request)
        name = f"cost-{asked.slug}.json"
        return _file(request, json_pieces(actor_of(request), asked), "application/json", name)

    def _asked(self, request: HttpRequest) -> Asked:
        """Read the address; who may see no cost anywhere is not let in."""
        permitted = list(workspaces_permitted(actor_of(request), Perm.BUDGET_VIEW))
        if not permitted and not self.may_open(request):
            raise PermissionDenied(f"This needs the permission {Perm.BUDGET_VIEW}.")
        return asked_of(request.GET, permitted)

    def _live(self, request: HttpRequest, asked: Asked) -> dict[str, Any]:
        try:
            report = cost_report(actor_of(request), asked.workspace_ids, asked.period)
        except DomainError as error:
            return {"asked": asked, "problem": str(error)}
        links = Links(
            runs=self._list_of(request, "agents.Run"),
            models=self._list_of(request, "agents.Model"),
            asked=asked,
        )
        return {"asked": asked, "shown": report_shown(report, asked, links)}

    def _list_of(self, request: HttpRequest, label: str) -> str:
        """Return the address of a model's list; empty where this person could not open it."""
        return list_url(label) if open_list(self.site, request, label) else ""


def _choices(asked: Asked, name: str, choices: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Links that change one thing of the address and keep the others."""
    return [
        {
            "title": title,
            "url": f"?{urlencode(asked.query(**{name: value}))}",
            "is_chosen": asked.query()[name] == value,
        }
        for value, title in choices
    ]


def _address(name: str, asked: Asked) -> str:
    return f"{reverse(f'admin:{name}')}?{urlencode(asked.query())}"


def _file(
    request: HttpRequest, content: Iterator[bytes], media_type: str, name: str
) -> HttpResponse | StreamingHttpResponse:
    """Answer with a file, or with the sentence why there is none now."""
    try:
        begun = list(islice(content, 2))  # the titles and the first row
    except DomainError as error:
        return HttpResponse(f"{error}\n", status=error.status, content_type="text/plain")
    return streamed(request, chain(begun, content), content_type=media_type, filename=name)
