"""REST views of tools and of the effect ledger. Each only finds its rows and calls a service."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.pagination import decode_cursor, encode_cursor, limit_of
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import DestroyMixin, ListMixin, RetrieveMixin
from plugins.api import serializers
from plugins.models import ToolCall, ToolDefinition
from plugins.selectors import ToolView, tool_declared, tool_get, tool_list, tool_view
from plugins.services.calls import call_resolve
from plugins.services.tools import tool_create, tool_delete, tool_update


class ToolViewSet(WorkspaceViewSet, DestroyMixin):
    """Built-in tools, and those the workspace declares, by name."""

    perms = {
        "list": Perm.TOOL_VIEW,
        "retrieve": Perm.TOOL_VIEW,
        "create": Perm.TOOL_EDIT,
        "partial_update": Perm.TOOL_EDIT,
        "destroy": Perm.TOOL_EDIT,
    }
    queryset = ToolDefinition.objects.all()
    serializer_class = serializers.ToolSerializer
    input_serializers = {
        "create": serializers.ToolInput,
        "partial_update": serializers.ToolChange,
    }
    lookup_field = "name"
    cursor_field = "name"

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Show a page of all tools; they are few, so they are put in order in memory."""
        tools = tool_list(self.actor, self.workspace)
        limit = limit_of(request.query_params.get("limit"))
        cursor = request.query_params.get("cursor")
        if cursor is not None:
            _, after = decode_cursor(cursor)
            tools = [tool for tool in tools if tool.name > after]
        page = tools[:limit]
        following = encode_cursor("name", page[-1].name) if len(tools) > limit else None
        return self.page([self.representation(tool) for tool in page], following)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(tool_get(self.actor, self.workspace, self.kwargs["name"]))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = tool_create(actor=self.actor, workspace=self.workspace, **self.checked())
        return self.answer(row, status_code=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return self.answer(tool_update(actor=self.actor, tool=row, **self.checked(partial=True)))

    def perform_destroy(self, row: ToolDefinition) -> None:
        tool_delete(actor=self.actor, tool=row)

    def get_object(self) -> ToolDefinition:
        tool_declared(self.actor, self.workspace, self.kwargs["name"])
        found: ToolDefinition = super().get_object()
        return found

    def representation(self, row: ToolDefinition | ToolView) -> Any:
        shown = row if isinstance(row, ToolView) else tool_view(row)
        return self.get_serializer(shown).data


class ToolCallFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    state = django_filters.MultipleChoiceFilter(
        choices=[(value, value) for value in serializers.CALL_STATES]
    )
    run = django_filters.UUIDFilter(field_name="run_id")
    tool = django_filters.CharFilter(field_name="tool", max_length=200)


class ToolCallViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin):
    """The effect ledger: what runs asked for and what came of it."""

    perms = {
        "list": Perm.RUN_VIEW,
        "retrieve": Perm.RUN_VIEW,
        "resolve": Perm.TOOL_CALL_RESOLVE,
    }
    queryset = ToolCall.objects.all()
    serializer_class = serializers.ToolCallSerializer
    filterset_class = ToolCallFilter
    input_serializers = {"resolve": serializers.ResolveInput}
    workspace_path = "workspace_id"

    @extend_schema(
        description="Say what became of a call in doubt. 409 with the winner when somebody was "
        "first.",
        request=serializers.ResolveInput,
        responses={200: serializers.ToolCallSerializer},
    )
    def resolve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        call = self.get_object()
        return self.answer(call_resolve(actor=self.actor, call_id=call.pk, **self.checked()))


class RunToolCallViewSet(WorkspaceViewSet, ListMixin):
    """The ledger of one run, in the order the calls were asked for."""

    perms = {"list": Perm.RUN_VIEW}
    queryset = ToolCall.objects.all()
    serializer_class = serializers.ToolCallSerializer
    workspace_path = "workspace_id"
    cursor_field = "pk"

    def rows(self) -> QuerySet[Any]:
        return super().rows().filter(run_id=self.kwargs.get("pk"))
