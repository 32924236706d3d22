"""REST views of a workspace's policy: its draft, publishing it, and what was published."""

from typing import Any, ClassVar

import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import PayloadModelSerializer, WorkspaceViewSet
from governance.guard.viewsets import ListMixin, RetrieveMixin
from governance.models import Policy, PolicyDifference, PolicyVersion
from governance.policy.sources import PolicyLanguage
from governance.selectors.policies import policy_difference_list, policy_get, policy_version_list
from governance.services.policies import (
    MAX_SOURCE_CHARS,
    policy_cases_run,
    policy_publish,
    policy_put,
    policy_shadow_end,
)


class PolicyVersionSerializer(serializers.ModelSerializer[PolicyVersion]):
    published_by = serializers.CharField(
        source="published_by.username", read_only=True, default=None, allow_null=True
    )

    class Meta:
        model = PolicyVersion
        fields = (
            "number", "language", "source", "cases", "failing_cases", "digest", "note", "is_active",
            "is_shadow", "shadow_asked", "shadow_differing", "shadow_skipped", "published_at",
            "published_by",
        )  # fmt: skip
        read_only_fields = fields


class PolicySerializer(serializers.ModelSerializer[Policy]):
    """The draft; `is_published` when it is what is in force."""

    source: Any = serializers.CharField(source="draft", read_only=True)
    active = serializers.SerializerMethodField()
    shadow = serializers.SerializerMethodField()
    is_published = serializers.SerializerMethodField()

    class Meta:
        model = Policy
        fields = (
            "source", "language", "cases", "active", "shadow", "is_published", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    def _active(self, row: Policy) -> PolicyVersion | None:
        return PolicyVersion.objects.filter(workspace=row.workspace_id, is_active=True).first()

    def get_active(self, row: Policy) -> int | None:
        active = self._active(row)
        return None if active is None else active.number

    def get_shadow(self, row: Policy) -> int | None:
        shadow = PolicyVersion.objects.filter(workspace=row.workspace_id, is_shadow=True).first()
        return None if shadow is None else shadow.number

    def get_is_published(self, row: Policy) -> bool:
        active = self._active(row)
        return active is not None and active.source == row.draft


class PolicyInput(StrictSerializer):
    source: Any = serializers.CharField(max_length=MAX_SOURCE_CHARS, trim_whitespace=False)
    language = serializers.ChoiceField(
        choices=[member.value for member in PolicyLanguage],
        required=False,
        help_text="Left out: as it was; a new policy is a matrix.",
    )
    cases = serializers.CharField(
        max_length=MAX_SOURCE_CHARS,
        trim_whitespace=False,
        required=False,
        allow_blank=True,
        help_text="Test cases, as YAML, run before the draft is published. Left out: as they were.",
    )


class PublishInput(StrictSerializer):
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)
    mode = serializers.ChoiceField(
        choices=["in_force", "shadow"],
        default="in_force",
        help_text="A shadow is asked beside what decides, and decides nothing.",
    )
    despite_failures = serializers.BooleanField(
        default=False, help_text="Publish although test cases fail; the audit chain says so."
    )


class CasesInput(StrictSerializer):
    """What is left out is the draft's."""

    cases = serializers.CharField(
        max_length=MAX_SOURCE_CHARS, trim_whitespace=False, required=False, allow_blank=True
    )
    source: Any = serializers.CharField(
        max_length=MAX_SOURCE_CHARS, trim_whitespace=False, required=False
    )
    language = serializers.ChoiceField(
        choices=[member.value for member in PolicyLanguage], required=False
    )


class CaseFailureSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    line = serializers.IntegerField()
    sentence = serializers.CharField(help_text="What was expected, what came, and by which rule.")
    decision = serializers.DictField(help_text="What the policy answered.")


class CasesRunSerializer(serializers.Serializer[Any]):
    """`failures` are the cases that went otherwise; none: all hold."""

    count = serializers.IntegerField()
    failures = CaseFailureSerializer(many=True)


class PolicyViewSet(WorkspaceViewSet):
    """What the workspace's calls are judged by."""

    perms = {
        "retrieve": Perm.POLICY_VIEW,
        "update": Perm.POLICY_EDIT,
        "publish": Perm.POLICY_PUBLISH,
        "test": Perm.POLICY_VIEW,
        "end_shadow": Perm.POLICY_PUBLISH,
    }
    queryset = Policy.objects.all()
    serializer_class = PolicySerializer
    input_serializers = {"update": PolicyInput, "publish": PublishInput, "test": CasesInput}
    problem_statuses = {"publish": (409, 503), "update": (503,), "test": (503,)}

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
        description="Put the draft in force, or ask it as a shadow. Its test cases must hold. "
        "Approvals given under another version in force end.",
        request=PublishInput,
        responses={201: PolicyVersionSerializer},
    )
    def publish(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        wanted = self.checked()
        as_shadow = wanted.pop("mode") == "shadow"
        version = policy_publish(
            self.actor, workspace=self.workspace, as_shadow=as_shadow, **wanted
        )
        shown = PolicyVersionSerializer(version, context=self.get_serializer_context())
        return Response(shown.data, status=status.HTTP_201_CREATED)

    @extend_schema(
        description="Run test cases, of the draft or given here. Nothing is stored.",
        request=CasesInput,
        responses={200: CasesRunSerializer},
    )
    def test(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        run = policy_cases_run(self.actor, workspace=self.workspace, **self.checked())
        failures = [
            {
                "name": failure.case.name,
                "line": failure.case.line,
                "sentence": str(failure),
                "decision": msgspec.to_builtins(failure.decision),
            }
            for failure in run.failures
        ]
        shown = CasesRunSerializer({"count": run.count, "failures": failures})
        return Response(shown.data)

    @extend_schema(
        description="Ask the shadow no more. What it said otherwise stays.",
        responses={204: None},
    )
    def end_shadow(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        policy_shadow_end(self.actor, workspace=self.workspace)
        return Response(status=status.HTTP_204_NO_CONTENT)

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


class PolicyDifferenceSerializer(PayloadModelSerializer):
    """A call that a shadow would have decided otherwise: what was decided, and what it says."""

    payload_fields: ClassVar[tuple[str, ...]] = ("reason", "shadow_reason")

    reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    shadow_reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    version = serializers.IntegerField(source="version.number", read_only=True)
    call = serializers.UUIDField(source="call_id", read_only=True)
    run = serializers.UUIDField(source="run_id", read_only=True)

    class Meta:
        model = PolicyDifference
        fields = (
            "id", "version", "call", "run", "tool", "decided_by", "effect", "rule", "reason",
            "shadow_effect", "shadow_rule", "shadow_reason", "is_abnormal", "at", "payload_hidden",
        )  # fmt: skip
        read_only_fields = fields


class PolicyDifferenceViewSet(WorkspaceViewSet, ListMixin):
    """What shadows said otherwise, newest first; how often is in the version."""

    perms = {"list": Perm.POLICY_VIEW}
    queryset = PolicyDifference.objects.all()
    serializer_class = PolicyDifferenceSerializer
    filterset_fields = ("tool", "effect", "shadow_effect")

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return PolicyDifference.objects.none()
        return policy_difference_list(self.actor, self.workspace)
