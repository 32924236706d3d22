"""The trace viewer's page: files are read in the browser; a run of this site may be named.

The page itself holds no data. A run is fetched by the page from the API, which asks whether its
reader may export it and writes that down.
"""

from typing import Final
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext

from agentry.viewer.standalone import standalone_page
from agentry_site.console.pages import Page
from agents.selectors.runs import run_get, runs_from
from core.errors import DomainError
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.authentication import actor_of

MAX_RUNS: Final = 50
_FILE_NAME: Final = "agentry-trace-viewer.html"


class TraceViewer(Page):
    """Open to everybody who may open the console: what it shows is the reader's own file."""

    name = "trace_viewer"

    def urls(self) -> list[URLPattern]:
        return [
            path("trace-viewer/", self.site.admin_view(self.page_view), name=self.name),
            path(
                "trace-viewer/standalone.html",
                self.site.admin_view(self.standalone_view),
                name="trace_viewer_standalone",
            ),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        return self.site.has_permission(request)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        """The viewer; with `run` in the address it fetches that run's trace."""
        sources: list[str] = []
        name = problem = ""
        if given := request.GET.get("run", ""):
            sources, name, problem = _sources(actor_of(request), given)
        context = self.context(
            request, title=gettext("Trace viewer"), sources=sources, name=name, problem=problem
        )
        return TemplateResponse(request, "console/trace_viewer/page.html", context)

    def standalone_view(self, request: HttpRequest) -> HttpResponse:
        """The viewer as one file to keep. It brings a policy of its own and holds no data."""
        if not self.may_open(request):
            raise PermissionDenied
        return HttpResponse(
            standalone_page(),
            content_type="text/html; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{_FILE_NAME}"'},
        )


def _sources(actor: Actor, given: str) -> tuple[list[str], str, str]:
    """Return the addresses of the traces of a run and those below it, its own first, and a file
    name; or a sentence why there are none."""
    try:
        run = run_get(actor=actor, run_id=UUID(given))
    except (ValueError, DomainError):
        return [], "", gettext("There is no such run, or you may not see it.")
    if not access.may_see_payload(actor, run.workspace_id):
        return (
            [],
            "",
            gettext("Replaying a run takes the permission %(run_payload)s in its workspace.")
            % {"run_payload": Perm.RUN_PAYLOAD},
        )
    below = [row for row in runs_from(run.pk) if row.workspace_id == run.workspace_id]
    sources = [
        reverse("run-trace", kwargs={"workspace": run.workspace.name, "pk": row.pk})
        for row in below[:MAX_RUNS]
    ]
    problem = ""
    if len(below) > MAX_RUNS:
        problem = gettext("The run has %(n)s runs below it; the first %(most)s are shown.") % {
            "n": len(below) - 1,
            "most": MAX_RUNS - 1,
        }
    return sources, f"{run.agent_name}-{run.pk}.jsonl", problem
