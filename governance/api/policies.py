"""REST views of a workspace's policy: its draft, publishing it, and what was published."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import ListMixin, RetrieveMixin
from governance.models import Policy, PolicyVersion
from governance.selectors.policies import policy_get, policy_version_list
from governance.services.policies import MAX_SOURCE_CHARS, policy_publish, policy_put


class PolicyVersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    published_by = serializers.CharField(
        source="published_by.username", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = PolicyVersion
        fields = (
            "number", "source", "digest", "note", "is_active", "published_at", "published_by",
        )  # fmt: skip
        read_only_fields = fields


class PolicySerializer(serializers.ModelSerializer[Policy]):
    """The draft; `is_published` when it is what is in force."""

    source: Any = serializers.CharField(source="draft", read_only=True)
    active = serializers.SerializerMethodField()
    is_published = serializers.SerializerMethodField()

    class Meta:
        model = Policy
        fields = ("source", "active", "is_published", "updated_at")
        read_only_fields = fields

    def _active(self, row: Policy) -> PolicyVersion | None:
        return PolicyVersion.objects.filter(workspace=row.workspace_id, is_active=True).first()

    def get_active(self, row: Policy) -> int | None:
        active = self._active(row)
        return None if active is None else active.number

    def get_is_published(self, row: Policy) -> bool:
        active = self._active(row)
        return active is not None and active.source == row.draft


class PolicyInput(StrictSerializer):
    source: Any = serializers.CharField(max_length=MAX_SOURCE_CHARS, trim_whitespace=False)


class PublishInput(StrictSerializer):
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class PolicyViewSet(WorkspaceViewSet):
    """What the workspace's calls are judged by."""

    perms = {
        "retrieve": Perm.POLICY_VIEW,
        "update": Perm.POLICY_EDIT,
        "publish": Perm.POLICY_PUBLISH,
    }
    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    input_serializers = {"update": PolicyInput, "publish": PublishInput}

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.get_object())

    @extend_schema(
        description="Write the draft. Nothing is judged by it until it is published.",
        request=PolicyInput,
        responses={200: PolicySerializer},
    )
    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        workspace = self.workspace
        if "If-Match" in request.headers:
            self.get_object()
        return self.answer(policy_put(self.actor, workspace=workspace, **self.checked()))

    @extend_schema(
        description="Put the draft in force. Approvals given under another version end.",
        request=PublishInput,
        responses={201: PolicyVersionSerializer},
    )
    def publish(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        version = policy_publish(self.actor, workspace=self.workspace, **self.checked())
        shown = PolicyVersionSerializer(version, context=self.get_serializer_context())
        return Response(shown.data, status=status.HTTP_201_CREATED)

    def get_object(self) -> Policy:
        self.kwargs["pk"] = policy_get(self.actor, self.workspace).pk
        found: Policy = super().get_object()
        return found


class PolicyVersionViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin):
    """Published versions, newest first; they never change."""

    perms = {"list": Perm.POLICY_VIEW, "retrieve": Perm.POLICY_VIEW}
    queryset = PolicyVersion.objects.all()
    serializer_class = PolicyVersionSerializer
    lookup_field = "number"

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return PolicyVersion.objects.none()
        return policy_version_list(self.actor, self.workspace)
