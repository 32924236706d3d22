"""Versions of agents: drafts are edited as text and published, published ones are read."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from agents.admin.forms import VersionForm, spec_text
from agents.contracts import VersionState
from agents.models import Agent, AgentVersion
from agents.services.versions import version_draft_save, version_publish
from core.admin import (
    Line,
    moment,
    moment_column,
    pill,
    short_id,
    text_block,
    text_difference,
)
from core.errors import DomainError
from governance import access
from governance.contracts import Actor, Perm
from governance.guard.saving import ServiceAdmin
from plugins.selectors import tools_unprotected


@admin.register(AgentVersion)
class AgentVersionAdmin(ServiceAdmin):
    view_perm = Perm.AGENT_VIEW
    edit_perm = Perm.AGENT_EDIT
    workspace_path = "agent__workspace"
    form = VersionForm
    explanation = _("What an agent is told and may do. A published version never changes.")
    change_form_template = "admin/agents/agentversion/change_form.html"
    list_display = ("name", "state_shown", "note", "digest_shown", "created_by", "created")
    list_filter = ("state", "agent")
    list_select_related = ("agent", "agent__workspace", "created_by")
    search_fields = ("agent__name", "note")
    ordering = ("-created_at",)
    places = {"*": "spec", "note": "note"}
    actions = ()

    @admin.display(description=_("Version"), ordering="agent__name")
    def name(self, version: AgentVersion) -> str:
        return str(version)

    @admin.display(description=_("State"), ordering="state")
    def state_shown(self, version: AgentVersion) -> SafeString:
        return pill(version.state)

    @admin.display(description=_("Digest"))
    def digest_shown(self, version: AgentVersion) -> SafeString:
        return short_id(version.digest)

    created = moment_column("created_at", _("Written"))

    @admin.display(description=_("Specification"))
    def spec_shown(self, version: AgentVersion) -> SafeString:
        return text_block(spec_text(version.spec))

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        is_fixed = obj is not None and obj.state != VersionState.DRAFT.value
        return not is_fixed and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        if self.has_change_permission(request, obj):
            return ("spec", "note")
        return ("spec_shown", "note")

    def get_readonly_fields(self, request: HttpRequest, obj: Any | None = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else ("spec_shown", "note")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path(
                "<uuid:version_id>/publish/",
                view(self.publish_view),
                name="agents_agentversion_publish",
            ),
            path(
                "draft/<uuid:agent_id>/",
                view(self.draft_view),
                name="agents_agentversion_draft",
            ),
            *super().get_urls(),
        ]

    def beside_form(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        version = self.get_object(request, object_id)
        if version is None:
            return {}
        before = _before(version)
        return {
            "state": pill(version.state),
            "before": before,
            "difference": _difference(before, version) if before else (),
            "may_publish": self._may_publish(request, version),
            "publish_url": reverse("admin:agents_agentversion_publish", args=[version.pk]),
            "agent_url": reverse("admin:agents_agent_change", args=[version.agent_id]),
            "is_draft": version.state == VersionState.DRAFT.value,
            "digest": version.digest,
            "unprotected": unprotected_tools(version),
            "published": moment(version.published_at),
        }

    def publish_view(self, request: HttpRequest, version_id: UUID) -> HttpResponse:
        """Publish a draft; the row is made immutable by the service."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        version = self.get_object(request, str(version_id))
        if version is None or not self.has_view_permission(request, version):
            raise PermissionDenied
        if not self._may(request, Perm.AGENT_PUBLISH, version):
            raise PermissionDenied(f"This needs the permission {Perm.AGENT_PUBLISH}.")
        try:
            version_publish(actor=self.actor(request), agent=version.agent, number=version.number)
        except DomainError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            sentence = gettext(
                "%(version)s is published. New runs start with it; running ones keep theirs."
            ) % {"version": version}
            self.message_user(request, sentence, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:agents_agentversion_change", args=[version.pk]))

    def draft_view(self, request: HttpRequest, agent_id: UUID) -> HttpResponse:
        """Open the agent's draft; make one from the published version when there is none."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        actor = self.actor(request)
        visible = access.scope(actor, Perm.AGENT_VIEW, Agent.objects.select_related("published"))
        agent = visible.filter(pk=agent_id).first()
        if agent is None or not access.can(actor, Perm.AGENT_EDIT, agent.workspace_id):
            raise PermissionDenied
        draft = AgentVersion.objects.filter(agent=agent, state=VersionState.DRAFT.value).first()
        if draft is None:
            spec = agent.published.spec if agent.published else {"prompt": ""}
            draft = version_draft_save(actor=actor, agent=agent, spec=spec)
        return HttpResponseRedirect(reverse("admin:agents_agentversion_change", args=[draft.pk]))

    def save_row(
        self, actor: Actor, row: AgentVersion, form: "forms.ModelForm[Any]", *, is_new: bool
    ) -> AgentVersion:
        given = form.cleaned_data
        return version_draft_save(
            actor=actor, agent=row.agent, spec=given["spec"], note=given["note"]
        )

    def _may_publish(self, request: HttpRequest, version: AgentVersion) -> bool:
        is_draft = version.state == VersionState.DRAFT.value
        return is_draft and self._may(request, Perm.AGENT_PUBLISH, version)


def unprotected_tools(version: AgentVersion | None) -> list[str]:
    """Name the tools of a version that run without a sandbox today."""
    if version is None:
        return []
    return tools_unprotected(version.agent.workspace_id, version.spec.get("tools", []))


def _before(version: AgentVersion) -> AgentVersion | None:
    earlier: QuerySet[AgentVersion] = AgentVersion.objects.filter(
        agent=version.agent, number__lt=version.number
    )
    return earlier.order_by("-number").first()


def _difference(before: AgentVersion, after: AgentVersion) -> tuple[Line, ...]:
    return text_difference(spec_text(before.spec), spec_text(after.spec))
