"""Agents in the console: names, what they are for, and their versions."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.admin.forms import AgentForm
from agents.admin.starting import may_start_agent
from agents.admin.versions import unprotected_tools
from agents.contracts import VersionState
from agents.models import Agent
from agents.selectors.agents import version_list, with_versions
from agents.services.agents import agent_create, agent_delete, agent_update
from core.admin import NOTHING, moment, moment_column, pill, row_link, switch_column
from governance.contracts import Actor, Perm
from governance.guard.saving import ServiceAdmin


@admin.register(Agent)
class AgentAdmin(ServiceAdmin):
    view_perm = Perm.AGENT_VIEW
    document_kind = "Agent"
    edit_perm = Perm.AGENT_EDIT
    can_add = True
    can_delete = True
    form = AgentForm
    explanation = _("A name people start runs by. What it does is in its versions.")
    lesson = "console/lessons/agents.html"
    change_form_template = "admin/agents/agent/change_form.html"
    fixed_fields = ("name", "workspace")
    list_display = ("name", "state_shown", "published_shown", "draft_shown", "workspace", "updated")
    list_filter = ("is_enabled", "workspace")
    search_fields = ("name", "description")
    places = {"*": "spec"}
    actions = ()

    state_shown = switch_column()

    @admin.display(description=_("Published"))
    def published_shown(self, agent: Agent) -> SafeString | str:
        return _version_link(agent.published) if agent.published else NOTHING

    @admin.display(description=_("Draft"))
    def draft_shown(self, agent: Any) -> SafeString | str:
        return _version_link(agent.drafts[0]) if agent.drafts else NOTHING

    updated = moment_column("updated_at", _("Changed"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_versions(super().get_queryset(request).select_related("workspace"))

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("workspace", "name", "description", "spec")
        return ("name", "workspace", "description", "is_enabled")

    def get_form(
        self, request: HttpRequest, obj: Any | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        if obj is not None:
            made.base_fields.pop("spec", None)
        return made

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        agent = self.get_object(request, object_id)
        if agent is None:
            return {}
        rows = version_list(actor=self.actor(request), agent=agent)[:50]
        versions = [(row, pill(row.state), _at(row), _is_current(agent, row)) for row in rows]
        return {
            "versions": versions,
            "draft": next((row for row, *_ in versions if _is_draft(row)), None),
            "unprotected": unprotected_tools(agent.published),
            "may_edit": self.has_change_permission(request, agent),
            "runs_url": reverse("admin:agents_run_changelist") + f"?agent__id__exact={agent.pk}",
            "start_url": _start_url(agent) if may_start_agent(self.actor(request), agent) else "",
            "new_draft_url": reverse("admin:agents_agentversion_draft", args=[agent.pk]),
        }

    def save_row(
        self, actor: Actor, row: Agent, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> Agent:
        given = form.cleaned_data
        if is_new:
            return agent_create(
                actor=actor,
                workspace=given["workspace"],
                name=given["name"],
                description=given["description"],
                spec=given["spec"],
            )
        return agent_update(
            actor=actor,
            agent=row,
            description=given["description"],
            is_enabled=given["is_enabled"],
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What holds an agent does not hinder: the service switches it off instead."""
        named, counts, lacking, _ = super().get_deleted_objects(objs, request)
        named.append("One that has runs or conversations is switched off instead, and keeps them.")
        return named, counts, lacking, []

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if not agent_delete(actor=self.actor(request), agent=obj):
            self.message_user(
                request,
                gettext("%(name)s has runs or conversations, so it was switched off instead.")
                % {"name": obj.name},
                messages.WARNING,
            )


def _version_link(version: Any) -> SafeString:
    return row_link("agents_agentversion", version.pk, f"v{version.number}")


def _start_url(agent: Agent) -> str:
    return reverse("admin:agents_run_start") + f"?agent={agent.pk}"


def _is_draft(version: Any) -> bool:
    return bool(version.state == VersionState.DRAFT.value)


def _at(version: Any) -> SafeString | str:
    return moment(version.published_at or version.created_at)


def _is_current(agent: Agent, version: Any) -> bool:
    return bool(agent.published_id == version.pk)
