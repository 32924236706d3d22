"""Runs in the console: lists, one page that follows its run live, and the deeds people may do.

The state machine owns runs: nothing here changes a row. Each deed calls the service that the API
and the command line call; who came second is told who won.
"""

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agents.admin.comparison import RunComparison
from agents.admin.deeds import MEANINGS, NAMES, deed_do
from agents.admin.run_bulk import FOR_ALL, batch, chosen_ids, confirming, do_each
from agents.admin.run_data import RunData, with_tag
from agents.admin.run_export import run_export
from agents.admin.run_forms import FORMS
from agents.admin.run_list import asked_of, choices, more_lines, run_list, searched
from agents.admin.run_page import run_page
from agents.admin.starting import StartForm, chosen_at_first, startable_agents
from agents.models import Run
from core.admin import moment, pill
from core.errors import DomainError, InvalidInputError
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin


@admin.register(Run)
class RunAdmin(RunData, RunComparison, GuardedAdmin):
    """See the module."""

    view_perm = Perm.RUN_VIEW
    explanation = _("Each run is one durable piece of work of an agent.")
    lesson = "console/lessons/runs.html"
    ordering = ("-id",)
    actions = ()

    # --- lists ------------------------------------------------------------------------------------

    def has_control_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Perm.RUN_CONTROL, None)

    # --- one run ----------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        def address(
            word: str, view: Callable[..., HttpResponse], arguments: dict[str, str]
        ) -> URLPattern:
            guarded = self.admin_site.admin_view(view)
            return path(f"<uuid:run_id>/{word}/", guarded, arguments, name=f"agents_run_{word}")

        deeds = [address(name, self.deed_view, {"name": name}) for name in NAMES]

        def page(word: str, view: Callable[..., HttpResponse]) -> URLPattern:
            return path(f"{word}/", self.admin_site.admin_view(view), name=f"agents_run_{word}")

        whole = [
            page("start", self.start_view),
            page("rows", self.rows_view),
            page("export", self.export_view),
        ]
        for_all = [
            path(
                f"all/{name}/",
                self.admin_site.admin_view(self.all_view),
                {"name": name},
                name=f"agents_run_all_{name}",
            )
            for name in FOR_ALL
        ]
        own = [*self.data_urls(), *self.compare_urls(), *deeds]
        return [*whole, *for_all, address("live", self.live_view, {}), *own, *super().get_urls()]

    # --- a new run --------------------------------------------------------------------------------

    def has_start_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Perm.RUN_START, None)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list (GET), or a deed for the runs that were chosen in it (POST)."""
        if not self.has_view_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_VIEW}.")
        work = self._chosen_view if request.method == "POST" else self._list_view
        return self._with_errors_shown(request, lambda: work(request))

    def _list_view(self, request: HttpRequest) -> HttpResponse:
        actor = self.actor(request)
        cl = run_list(request, actor)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Runs"),
            "opts": self.opts,
            "cl": cl,
            "choices": choices(actor, cl.filters),
            "searched": searched(),
            "may_start": self.has_start_permission(request),
            "may_control": self.has_control_permission(request),
            "deeds": [(name, MEANINGS[name]) for name in FOR_ALL],
        }
        return TemplateResponse(request, "admin/agents/run/list.html", context)

    def rows_view(self, request: HttpRequest) -> HttpResponse:
        """Return the next rows of the list, for a page that is scrolled."""
        if not self.has_view_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_VIEW}.")

        def rows() -> HttpResponse:
            context = {
                "lines": more_lines(request, self.actor(request)),
                "may_control": self.has_control_permission(request),
            }
            answer = render(request, "admin/agents/run/rows.html", context)
            answer["Cache-Control"] = "no-store"
            return answer

        return self._with_errors_shown(request, rows)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return the list as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_VIEW}.")
        return self._with_errors_shown(
            request, lambda: cast("HttpResponse", run_export(request, self.actor(request)))
        )

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Ask (GET) what a run shall do, or start it (POST) and go to its page."""
        if not self.has_start_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_START}.")
        actor = self.actor(request)
        if request.method == "POST":
            form = StartForm(request.POST, actor=actor)
            if form.is_valid() and form.start() and form.run is not None:
                return HttpResponseRedirect(reverse("admin:agents_run_change", args=[form.run.pk]))
        elif request.method == "GET":
            form = StartForm(actor=actor, initial=chosen_at_first(request))
        else:
            return HttpResponseNotAllowed(["GET", "POST"])
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Start a run"),
            "opts": self.opts,
            "form": form,
            "has_agents": startable_agents(actor).exists(),
            "back": reverse("admin:agents_run_changelist"),
        }
        return TemplateResponse(request, "admin/agents/run/start.html", context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run: Run | None = self.get_object(request, object_id)
        if run is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]  # Django's own
        context = {
            **self.admin_site.each_context(request),
            "page": run_page(run, self.actor(request)),
            "is_whole": True,
            "title": run.agent_name,
            "subtitle": str(run.pk),
            "opts": self.opts,
            "original": run,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/agents/run/page.html", context)

    def live_view(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Return the parts of the page that change, for a page that follows its run."""
        run = self.visible_run(request, run_id)
        show = request.GET.get("show", "")
        page = run_page(
            run, self.actor(request), is_whole=False, with_checkpoints=show == "checkpoints"
        )
        context = {"page": page, "is_whole": False, "show": show}
        return with_tag(request, render(request, "admin/agents/run/live.html", context))

    # --- deeds ------------------------------------------------------------------------------------

    def deed_view(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        """Ask (GET) or do (POST) one deed to one run."""
        run = self.visible_run(request, run_id)
        for perm in MEANINGS[name].perms:
            if not self._may(request, perm, run):
                raise PermissionDenied(f"This needs the permission {perm}.")
        if request.method == "POST":
            form = FORMS[name](request.POST, run=run)
            if form.is_valid() and (target := self._done(request, run, name, form.answers())):
                return HttpResponseRedirect(target)
        elif request.method == "GET":
            form = FORMS[name](run=run, initial=request.GET.dict())
        else:
            return HttpResponseNotAllowed(["GET", "POST"])
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("%(title)s this run?") % {"title": MEANINGS[name].title},
            "opts": self.opts,
            "original": run,
            "deed": name,
            "meaning": MEANINGS[name],
            "form": form,
            "state": pill(run.state),
            "back": reverse("admin:agents_run_change", args=[run.pk]),
        }
        return TemplateResponse(request, "admin/agents/run/deed.html", context)

    def _done(
        self, request: HttpRequest, run: Run, name: str, answers: dict[str, Any]
    ) -> str | None:
        """Do it and return where to look next; None when what was given has to be mended."""
        try:
            after = deed_do(name, actor=self.actor(request), run_id=run.pk, answers=answers)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
            is_mendable = error.status == 400 and name in {"fork", "resume"}
            return None if is_mendable else reverse("admin:agents_run_change", args=[run.pk])
        self.message_user(
            request, gettext("The run %(done)s.") % {"done": MEANINGS[name].done}, messages.SUCCESS
        )
        return reverse("admin:agents_run_change", args=[after.pk])

    # --- deeds for many ---------------------------------------------------------------------------

    def _chosen_view(self, request: HttpRequest) -> HttpResponse:
        """Ask first; once confirmed, do it to each chosen run and say what came of each."""
        name = request.POST.get("action", "").removesuffix("_selected")
        if name == "compare":
            ids = chosen_ids(request, helpers.ACTION_CHECKBOX_NAME)
            return self.compare_chosen(request, self.get_queryset(request).filter(pk__in=ids))
        if name not in NAMES:
            raise InvalidInputError("Nothing was chosen to be done.", remedy="Choose a button.")
        if not self.has_control_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_CONTROL}.")
        ids = chosen_ids(request, helpers.ACTION_CHECKBOX_NAME)
        rows = self.get_queryset(request).filter(pk__in=ids)
        if "confirmed" not in request.POST:
            return self._asked_for_chosen(request, rows, name)
        outcome = do_each(self.actor(request), name, rows)
        if outcome.done:
            sentence = ngettext(
                "%(n)s run: %(deed)s done.", "%(n)s runs: %(deed)s done.", outcome.done
            ) % {"n": outcome.done, "deed": MEANINGS[name].title.lower()}
            self.message_user(request, sentence, messages.SUCCESS)
        for refusal in outcome.refused:
            sentence = f"{refusal.agent} {str(refusal.run_id)[-8:]}: {refusal.why}"
            self.message_user(request, sentence, messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def _asked_for_chosen(
        self, request: HttpRequest, rows: QuerySet[Run], name: str
    ) -> HttpResponse:
        runs = [(run, pill(run.state), moment(run.created_at)) for run in rows]
        context = {
            **self.admin_site.each_context(request),
            "title": ngettext("%(deed)s %(n)s run?", "%(deed)s %(n)s runs?", len(runs))
            % {"deed": MEANINGS[name].title, "n": len(runs)},
            "opts": self.opts,
            "deed": name,
            "meaning": MEANINGS[name],
            "runs": runs,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "action": f"{name}_selected",
            "here": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/agents/run/deed_many.html", context)

    def all_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ask (GET) before all runs of a filter are done, or do the next of them (POST)."""
        if not self.has_control_permission(request):
            raise PermissionDenied(f"This needs the permission {Perm.RUN_CONTROL}.")
        return self._with_errors_shown(request, lambda: self._all(request, name))

    def _all(self, request: HttpRequest, name: str) -> HttpResponse:
        actor, filters = self.actor(request), asked_of(request)
        if filters.problems:
            raise InvalidInputError(filters.problems[0], remedy="Mend the filter in the list.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "deed": name,
            "meaning": MEANINGS[name],
            "query": filters.query(),
            "parts": filters.parts(),
        }
        if request.method == "POST":
            more = {
                "batch": batch(request, actor, name),
                "title": gettext("%(title)s all") % {"title": MEANINGS[name].title},
            }
        else:
            asked = confirming(actor, filters, name)
            more = {
                "asked": asked,
                "title": gettext("%(title)s %(words)s runs?")
                % {"title": MEANINGS[name].title, "words": asked["words"]},
            }
        return TemplateResponse(request, "admin/agents/run/deed_all.html", context | more)
