"""Agents, their versions, and starting a run by an agent's name."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import serializers
from agents.models import Agent, AgentVersion
from agents.selectors.agents import agent_get, with_versions
from agents.services.agents import agent_create, agent_delete, agent_update
from agents.services.versions import version_draft_save, version_publish
from core.api.serializers import NothingInput
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import (
    CreateMixin,
    DestroyMixin,
    ListMixin,
    RetrieveMixin,
    UpdateMixin,
)


class AgentViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """Agents of a workspace, by name. One that has runs is switched off instead of deleted."""

    perms = {
        "list": Perm.AGENT_VIEW,
        "retrieve": Perm.AGENT_VIEW,
        "create": Perm.AGENT_EDIT,
        "partial_update": Perm.AGENT_EDIT,
        "destroy": Perm.AGENT_EDIT,
    }
    queryset = Agent.objects.all()
    serializer_class = serializers.AgentSerializer
    input_serializers = {
        "create": serializers.AgentInput,
        "partial_update": serializers.AgentChange,
    }
    lookup_field = "name"
    cursor_field = "name"

    def rows(self) -> QuerySet[Any]:
        return with_versions(super().rows())

    def perform_create(self, data: dict[str, Any]) -> Agent:
        return agent_create(actor=self.actor, workspace=self.workspace, **data)

    def perform_update(self, row: Agent, data: dict[str, Any]) -> Agent:
        return agent_update(actor=self.actor, agent=row, **data)

    def perform_destroy(self, row: Agent) -> None:
        agent_delete(actor=self.actor, agent=row)


class VersionViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin):
    """Versions of an agent, newest first. There is one draft; saving again replaces it."""

    perms = {
        "list": Perm.AGENT_VIEW,
        "retrieve": Perm.AGENT_VIEW,
        "create": Perm.AGENT_EDIT,
        "publish": Perm.AGENT_PUBLISH,
    }
    queryset = AgentVersion.objects.select_related("created_by")
    serializer_class = serializers.VersionSerializer
    input_serializers = {
        "create": serializers.DraftInput,
        "publish": NothingInput,
    }
    workspace_path = "agent__workspace"
    lookup_field = "number"
    cursor_field = "-number"

    def agent(self) -> Agent:
        return agent_get(actor=self.actor, workspace=self.workspace, name=self.kwargs["name"])

    def rows(self) -> QuerySet[Any]:
        rows = super().rows()
        return rows if self.is_described else rows.filter(agent=self.agent())

    def perform_create(self, data: dict[str, Any]) -> AgentVersion:
        return version_draft_save(actor=self.actor, agent=self.agent(), **data)

    @extend_schema(
        description="Make the draft immutable and the version new runs start with.",
        responses={200: serializers.VersionSerializer},
    )
    def publish(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        row = self.get_object()
        return self.answer(version_publish(actor=self.actor, agent=row.agent, number=row.number))
