"""Providers, models and routes."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api import serializers
from agents.models import Model, ModelRoute, Provider
from agents.services.models import model_create, model_delete, model_update
from agents.services.provider_check import provider_check
from agents.services.providers import provider_create, provider_delete, provider_update
from agents.services.routes import route_create, route_delete, route_update
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

_PERMS = {
    "list": Perm.PROVIDER_VIEW,
    "retrieve": Perm.PROVIDER_VIEW,
    "create": Perm.PROVIDER_EDIT,
    "partial_update": Perm.PROVIDER_EDIT,
    "destroy": Perm.PROVIDER_EDIT,
}


class ProviderViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """Where completions come from. Keys go in and never come out."""

    perms = {**_PERMS, "check": Perm.PROVIDER_EDIT}
    queryset = Provider.objects.all()
    serializer_class = serializers.ProviderSerializer
    input_serializers = {
        "create": serializers.ProviderInput,
        "partial_update": serializers.ProviderChange,
        "check": NothingInput,
    }
    unwrapped_actions = frozenset({"check"})
    lookup_field = "name"
    cursor_field = "name"

    def perform_create(self, data: dict[str, Any]) -> Provider:
        return provider_create(actor=self.actor, workspace=self.workspace, **data)

    def perform_update(self, row: Provider, data: dict[str, Any]) -> Provider:
        return provider_update(actor=self.actor, provider=row, **data)

    def perform_destroy(self, row: Provider) -> None:
        provider_delete(actor=self.actor, provider=row)

    @extend_schema(
        description="Ask the provider for a few tokens; a script is only read. What goes wrong is "
        "in the answer.",
        responses={200: serializers.ProviderCheckSerializer},
    )
    def check(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        checked = provider_check(actor=self.actor, provider=self.get_object())
        return Response(serializers.ProviderCheckSerializer(asdict(checked)).data)


class ModelViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """Models under the names agents use."""

    perms = _PERMS
    queryset = Model.objects.select_related("provider", "fallback")
    serializer_class = serializers.ModelSerializer
    input_serializers = {
        "create": serializers.ModelInput,
        "partial_update": serializers.ModelChange,
    }
    lookup_field = "name"
    cursor_field = "name"

    def perform_create(self, data: dict[str, Any]) -> Model:
        return model_create(actor=self.actor, workspace=self.workspace, **data)

    def perform_update(self, row: Model, data: dict[str, Any]) -> Model:
        return model_update(actor=self.actor, model=row, **data)

    def perform_destroy(self, row: Model) -> None:
        model_delete(actor=self.actor, model=row)


class RouteViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """Which model answers an input when the agent names none: lowest priority first."""

    perms = _PERMS
    queryset = ModelRoute.objects.select_related("model")
    serializer_class = serializers.RouteSerializer
    input_serializers = {
        "create": serializers.RouteInput,
        "partial_update": serializers.RouteChange,
    }

    def perform_create(self, data: dict[str, Any]) -> ModelRoute:
        return route_create(actor=self.actor, workspace=self.workspace, **data)

    def perform_update(self, row: ModelRoute, data: dict[str, Any]) -> ModelRoute:
        return route_update(actor=self.actor, route=row, **data)

    def perform_destroy(self, row: ModelRoute) -> None:
        route_delete(actor=self.actor, route=row)
