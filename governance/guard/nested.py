"""Resources below `/workspaces/<name>`: found, listed and shown within that one workspace.

Who may not see payloads (inputs, outputs, messages, arguments, results) is shown the same objects
with those members null and `payload_hidden` true.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.http import urlencode
from rest_framework import serializers
from rest_framework.response import Response

from governance import access
from governance.guard.viewsets import GuardedViewSet
from governance.models import Workspace


class WorkspaceViewSet(GuardedViewSet):
    """Base of views whose path names a workspace; an unknown one is the same as an invisible."""

    _workspace: Workspace | None = None
    _is_payload_visible: bool | None = None

    @property
    def workspace(self) -> Workspace:
        """The workspace of the path, for which the action's permission is held."""
        if self._workspace is None:
            self._workspace = self.get_workspace()
        return self._workspace

    @property
    def is_payload_visible(self) -> bool:
        if self._is_payload_visible is None:
            self._is_payload_visible = access.may_see_payload(self.actor, self.workspace)
        return self._is_payload_visible

    def rows(self) -> QuerySet[Any]:
        rows = super().rows()
        if self.is_described:
            return rows.none()
        return rows.filter(**{self.workspace_path: self.workspace.pk})

    def page(self, items: Sequence[Any], next_cursor: str | None) -> Response:
        """Answer with a page that did not come from one ordered table."""
        address = None
        if next_cursor is not None:
            query = self.request.query_params.copy()
            query["cursor"] = next_cursor
            pairs = sorted((key, value) for key, values in query.lists() for value in values)
            path = f"{self.request.path}?{urlencode(pairs)}"
            address = self.request.build_absolute_uri(path)
        return Response({"items": list(items), "next": address, "next_cursor": next_cursor})


class PayloadMixin:
    """A serializer that nulls `payload_fields` unless the view says the actor may see them."""

    payload_fields: ClassVar[tuple[str, ...]] = ()

    def get_payload_hidden(self, _row: Any) -> bool:
        view = self.context.get("view")  # type: ignore[attr-defined]  # comes with the serializer mixed in
        return not getattr(view, "is_payload_visible", False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        data: dict[str, Any] = super().to_representation(instance)  # type: ignore[misc]  # as above
        if data["payload_hidden"]:
            data |= dict.fromkeys(self.payload_fields)
        return data


class PayloadModelSerializer(PayloadMixin, serializers.ModelSerializer[Any]):
    """Shows a row; `payload_hidden` says whether members are null for this actor."""

    payload_hidden = serializers.SerializerMethodField()


class PayloadSerializer(PayloadMixin, serializers.Serializer[Any]):
    """Shows a record in the same way."""

    payload_hidden = serializers.SerializerMethodField()
