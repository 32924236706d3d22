"""Runs in the console: lists, one page that follows its run live, and the deeds people may do.

The state machine owns runs: nothing here changes a row. Each deed calls the service that the API
and the command line call; who came second is told who won.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents.admin.comparison import RunComparison
from agents.admin.deeds import MEANINGS, NAMES, deed_do
from agents.admin.run_data import RunData, with_tag
from agents.admin.run_forms import FORMS
from agents.admin.run_page import run_page
from agents.admin.starting import StartForm, chosen_at_first, startable_agents
from agents.contracts import RunState
from agents.models import Run
from core.admin import count, moment, moment_column, money, pill
from core.errors import DomainError
from governance import access
from governance.contracts import Perm
from governance.guard.admin import GuardedAdmin

EXCERPT_CHARACTERS = 140


class StateFilter(admin.SimpleListFilter):
    """States in the order of a run's life."""

    title = "state"
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in RunState]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class SurfaceFilter(admin.SimpleListFilter):
    """Where runs were asked for. A fixed list: reading it from the rows would scan them all."""

    title = "asked by way of"
    parameter_name = "surface"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        known = ("api", "console", "agent", "fork", "replay", "legacy")
        return [(name, name) for name in known]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.filter(surface=self.value()) if self.value() else queryset


def _list_deed(name: str) -> Callable[..., HttpResponse | None]:
    """Make the list action of a deed: a page that asks first, then one service call a run."""

    @admin.action(description=f"{MEANINGS[name].title} the selected runs", permissions=["control"])
    def act(page: "RunAdmin", request: HttpRequest, rows: QuerySet[Run]) -> HttpResponse | None:
        return page.deed_for_many(request, rows, name)

    act.__name__ = f"{name}_selected"
    return act


def hyphenated(term: str) -> str:
    """Put hyphens into what looks like the beginning of an id; leave anything else alone."""
    plain = term.strip().replace("-", "").lower()
    if not 8 < len(plain) <= 32 or set(plain) - set("0123456789abcdef"):
        return term
    cuts = (0, 8, 12, 16, 20, 32)
    parts = (plain[start:end] for start, end in pairwise(cuts))
    return "-".join(part for part in parts if part)


@admin.register(Run)
class RunAdmin(RunData, RunComparison, GuardedAdmin):
    """See the module."""

    view_perm = Perm.RUN_VIEW
    explanation = "Each run is one durable piece of work of an agent."
    lesson = "console/lessons/runs.html"
    list_display = (
        "state_shown", "agent_shown", "input_shown", "iteration", "tokens", "cost", "age",
    )  # fmt: skip
    list_display_links = ("agent_shown",)
    list_filter = (StateFilter, "agent", "workspace", SurfaceFilter)
    list_per_page = 50
    search_fields = ("id__istartswith", "agent_name__icontains")
    search_help_text = "Agent, or the beginning of an id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        """Ids are found with and without their hyphens, on every database."""
        return super().get_search_results(request, queryset, hyphenated(search_term))

    ordering = ("-id",)
    actions = (*(_list_deed(name) for name in NAMES), "compare_selected")

    # --- lists ------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Return what the actor may see; `is_readable` says where the input may be shown."""
        readable = access.permitted_workspace_ids(self.actor(request), Perm.RUN_PAYLOAD)
        mine = Case(
            When(Q(workspace_id__in=readable), then=Value(True)),
            default=Value(False),
            output_field=BooleanField(),
        )
        rows: QuerySet[Run] = super().get_queryset(request).annotate(is_readable=mine)
        return rows

    @admin.display(description="State", ordering="state")
    def state_shown(self, run: Run) -> SafeString:
        return pill(run.state)

    @admin.display(description="Agent", ordering="agent_name")
    def agent_shown(self, run: Run) -> str:
        return run.agent_name

    @admin.display(description="Input")
    def input_shown(self, run: Run) -> SafeString:
        if not run.is_readable:  # type: ignore[attr-defined]  # annotated by get_queryset
            return format_html('<span class="withheld">{}</span>', "hidden")
        text = " ".join(run.input[:EXCERPT_CHARACTERS].split())
        return format_html('<span class="excerpt">{}</span>', text)

    @admin.display(description="Tokens")
    def tokens(self, run: Run) -> str:
        return count(run.input_tokens + run.output_tokens)

    @admin.display(description="Cost", ordering="cost_usd")
    def cost(self, run: Run) -> SafeString | str:
        return money(run.cost_usd, is_partial=run.cost_is_partial)

    age = moment_column("created_at", "Created")

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
        start = path("start/", self.admin_site.admin_view(self.start_view), name="agents_run_start")
        live = address("live", self.live_view, {})
        return [start, live, *self.data_urls(), *self.compare_urls(), *deeds, *super().get_urls()]

    # --- a new run --------------------------------------------------------------------------------

    def has_start_permission(self, request: HttpRequest) -> bool:
        return self._may(request, Perm.RUN_START, None)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        more = {"may_start": self.has_start_permission(request), **(extra_context or {})}
        return super().changelist_view(request, more)

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
            "title": "Start a run",
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
        run = self._run(request, object_id)
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

    def _run(self, request: HttpRequest, run_id: object) -> Run | None:
        rows = self.get_queryset(request)
        found: Run | None = self.get_object(request, str(run_id))
        return found if found is not None and rows.filter(pk=found.pk).exists() else None

    # --- deeds ------------------------------------------------------------------------------------

    def deed_view(self, request: HttpRequest, run_id: UUID, name: str) -> HttpResponse:
        """Ask (GET) or do (POST) one deed to one run."""
        run = self._run(request, run_id)
        if run is None:
            raise PermissionDenied
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
            "title": f"{MEANINGS[name].title} this run?",
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
        self.message_user(request, f"The run {MEANINGS[name].done}.", messages.SUCCESS)
        return reverse("admin:agents_run_change", args=[after.pk])

    def deed_for_many(
        self, request: HttpRequest, rows: QuerySet[Run], name: str
    ) -> HttpResponse | None:
        """Ask first; once confirmed, do it to each run by itself and say what came of each."""
        if "confirmed" not in request.POST:
            runs = [(run, pill(run.state), moment(run.created_at)) for run in rows]
            context = {
                **self.admin_site.each_context(request),
                "title": f"{MEANINGS[name].title} {len(runs)} run{'s' if len(runs) != 1 else ''}?",
                "opts": self.opts,
                "deed": name,
                "meaning": MEANINGS[name],
                "runs": runs,
                "checkbox": helpers.ACTION_CHECKBOX_NAME,
                "action": f"{name}_selected",
            }
            return TemplateResponse(request, "admin/agents/run/deed_many.html", context)
        actor, done, refused = self.actor(request), 0, []
        for run in rows:
            try:
                deed_do(name, actor=actor, run_id=run.pk)
            except DomainError as error:
                refused.append(f"{run.agent_name} {str(run.pk)[-8:]}: {error.message}")
            else:
                done += 1
        if done:
            sentence = f"{done} run{'s' if done != 1 else ''}: {MEANINGS[name].title.lower()} done."
            self.message_user(request, sentence, messages.SUCCESS)
        for sentence in refused:
            self.message_user(request, sentence, messages.ERROR)
        return None
