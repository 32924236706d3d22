"""Saved filters of the list of runs."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from agents.models import SavedFilter
from agents.selectors.saved_filters import saved_filter_list
from agents.services.saved_filters import (
    MAX_NAME,
    MAX_QUERY,
    saved_filter_create,
    saved_filter_delete,
)
from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin


class SavedFilterSerializer(serializers.ModelSerializer[SavedFilter]):
    owner = serializers.CharField(source="owner.username", read_only=True)

    class Meta:
        model = SavedFilter
        fields = ("id", "name", "query", "is_shared", "owner", "created_at")
        read_only_fields = fields


class SavedFilterInput(StrictSerializer):
    name = serializers.CharField(max_length=MAX_NAME)
    query = serializers.CharField(
        max_length=MAX_QUERY,
        allow_blank=True,
        help_text="An address of the console's list of runs after its question mark.",
    )
    is_shared = serializers.BooleanField(
        required=False, help_text="With everybody of the workspace; takes `run.control`."
    )


class SavedFilterViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, DestroyMixin):
    """Questions about runs under a name: one's own, and those shared in the workspace."""

    perms = dict.fromkeys(("list", "retrieve", "create", "destroy"), Perm.RUN_VIEW)
    queryset = SavedFilter.objects.select_related("owner")
    serializer_class = SavedFilterSerializer
    input_serializers = {"create": SavedFilterInput}

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return super().rows()
        mine = saved_filter_list(actor=self.actor)
        return super().rows().filter(pk__in=mine.values("pk"))

    def perform_create(self, data: dict[str, Any]) -> SavedFilter:
        return saved_filter_create(actor=self.actor, workspace=self.workspace, **data)

    def perform_destroy(self, row: SavedFilter) -> None:
        saved_filter_delete(actor=self.actor, filter_id=row.pk)
