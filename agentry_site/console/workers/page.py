"""The page of workers and queues. Whoever sees runs sees what waits in their workspaces; workers
and the site's own queues are for who runs the site, and so is draining."""

from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from agentry_site.console.pages import Page
from agentry_site.console.workers.queues import queues_of
from agentry_site.console.workers.shown import figures_of, worker_rows
from agents.contracts import WorkerState
from agents.selectors.workers import workers_alive
from agents.services.workers import worker_drain, worker_undrain
from core.errors import DomainError
from governance.contracts import Perm
from governance.guard.authentication import actor_of


class WorkersPage(Page):
    name = "workers"

    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view
        return [
            path("workers/", view(self.page_view), name=self.name),
            path("workers/live/", view(self.live_view), name="workers_live"),
            path("workers/<uuid:pk>/drain/", view(self.drain_view), name="workers_drain"),
            path("workers/<uuid:pk>/undrain/", view(self.undrain_view), name="workers_undrain"),
        ]

    def may_open(self, request: HttpRequest) -> bool:
        runs: Any = self.site._registry[apps.get_model("agents.Run")]
        return bool(runs.has_view_permission(request))

    def page_view(self, request: HttpRequest) -> HttpResponse:
        context = self.context(request, title=gettext("Workers"), **self._live(request))
        return TemplateResponse(request, "console/workers/page.html", context)

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """The parts of the page that change."""
        answer = render(request, "console/workers/live.html", self._live(request))
        answer["Cache-Control"] = "no-store"
        return answer

    def drain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask first: what will happen, to how many runs, and who is left to take them."""
        rows = self._workers(request)
        row = next((row for row in rows if row.id == pk), None)
        if row is None:
            messages.error(request, gettext("There is no such worker; it has stopped."))
            return redirect("admin:workers")
        if request.method == "POST":
            return self._done(request, pk, is_drain=True)
        serving = [each for each in rows if each.stands is WorkerState.SERVING and each.id != pk]
        context = self.context(
            request,
            title=gettext("Drain %(name)s") % {"name": row.name},
            row=row,
            others=len(serving),
        )
        return TemplateResponse(request, "console/workers/drain.html", context)

    def undrain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        self._workers(request)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return self._done(request, pk, is_drain=False)

    def _done(self, request: HttpRequest, pk: UUID, *, is_drain: bool) -> HttpResponse:
        actor = actor_of(request)
        try:
            deed = worker_drain if is_drain else worker_undrain
            worker = deed(actor, worker_id=pk)
        except DomainError as error:
            messages.error(request, str(error))
        else:
            done = (
                gettext("The worker %(worker)s is asked to drain; it takes note within seconds.")
                if is_drain
                else gettext(
                    "The worker %(worker)s is put to work again; it takes note within seconds."
                )
            )
            messages.success(request, done % {"worker": worker})
        return redirect("admin:workers")

    def _workers(self, request: HttpRequest) -> list[Any]:
        if not actor_of(request).is_superuser:
            raise PermissionDenied("Workers belong to the site: only a superuser drains one.")
        return worker_rows(actor_of(request))

    def _live(self, request: HttpRequest) -> dict[str, Any]:
        if not self.may_open(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_VIEW}.")
        actor = actor_of(request)
        queues = queues_of(actor, request)
        rows = worker_rows(actor) if actor.is_superuser else []
        alive = workers_alive()
        return {
            "queues": queues,
            "workers": rows,
            "runs_the_site": actor.is_superuser,
            "alive": alive,
            "figures": figures_of(queues[0], rows, alive=alive, is_known=actor.is_superuser),
        }
