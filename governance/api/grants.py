"""REST views of standing approvals: giving one with an approval, what there is, and ending it."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from core.errors import NotFoundError
from governance.api.approvals import ArgumentsField, FactsField, NewArgumentsField
from governance.contracts import GrantState, Perm
from governance.guard.nested import PayloadModelSerializer, WorkspaceViewSet
from governance.guard.viewsets import ListMixin, RetrieveMixin
from governance.models import Approval, Grant, GrantUse
from governance.selectors.grants import grant_list
from governance.services.approvals import grant_give, grant_propose, grant_revoke
from governance.services.approvals.deciding import MAX_REASON_CHARS
from governance.services.approvals.granting import DEFAULT_SECONDS, MAX_SECONDS, MAX_USES

STATES = [member.value for member in GrantState]


class ApprovalGrantSerializer(PayloadModelSerializer):
    """A standing approval. `agent` or `requester` empty: of any, for anybody."""

    payload_fields = ("pattern", "reason", "ended_reason")

    state = serializers.ChoiceField(choices=STATES, read_only=True)
    approval = serializers.UUIDField(source="approval_id", read_only=True, allow_null=True)
    agent = serializers.CharField(source="agent_name", read_only=True, allow_blank=True)
    requester = serializers.CharField(source="requester_name", read_only=True, allow_blank=True)
    pattern = ArgumentsField(read_only=True)
    facts = FactsField(read_only=True)
    granted_by = serializers.CharField(source="granted_by_name", read_only=True)
    reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    ended_by = serializers.CharField(source="ended_by_name", read_only=True, allow_blank=True)
    ended_reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)

    class Meta:
        model = Grant
        fields = (
            "id", "approval", "tool", "agent", "requester", "rule", "pattern", "facts",
            "granted_by", "reason", "surface", "uses", "uses_max", "state", "created_at",
            "expires_at", "ended_at", "ended_by", "ended_reason", "payload_hidden",
        )  # fmt: skip
        read_only_fields = fields


class GrantUseSerializer(serializers.ModelSerializer[GrantUse]):
    """One call that was not asked about."""

    call = serializers.UUIDField(source="subject_id", read_only=True)
    run = serializers.UUIDField(source="run_id", read_only=True)
    agent = serializers.CharField(source="agent_name", read_only=True, allow_blank=True)
    requester = serializers.CharField(source="requester_name", read_only=True, allow_blank=True)

    class Meta:
        model = GrantUse
        fields = ("id", "call", "run", "agent", "requester", "arguments_digest", "at")
        read_only_fields = fields


class GrantProposalSerializer(serializers.Serializer[Any]):
    """The narrowest grant an approval could be given with. `unnamed`: arguments for which a test
    must be written by hand. `refusal`: why whoever asks cannot give it."""

    tool = serializers.CharField()
    agent = serializers.CharField(allow_blank=True)
    requester = serializers.CharField(allow_blank=True)
    pattern = NewArgumentsField()
    arguments = NewArgumentsField()
    unnamed = serializers.ListField(child=serializers.CharField())
    facts = FactsField()
    refusal = serializers.CharField(allow_blank=True)


@extend_schema_field({"type": "object", "additionalProperties": True})
class PatternField(serializers.DictField):
    """`arguments` (tests by path), `paths` and `hosts`, as in a permission matrix."""


class GrantInput(StrictSerializer):
    """`pattern`: which calls; the proposal is a narrow one. `uses`: how many, or as many as come.
    `seconds`: how long, a week if not said."""

    pattern = PatternField()
    any_agent = serializers.BooleanField(required=False)
    any_requester = serializers.BooleanField(required=False)
    uses = serializers.IntegerField(min_value=1, max_value=MAX_USES, required=False)
    seconds = serializers.FloatField(
        min_value=1, max_value=MAX_SECONDS, required=False, default=DEFAULT_SECONDS
    )
    reason = serializers.CharField(max_length=MAX_REASON_CHARS, required=False, allow_blank=True)


class RevocationInput(StrictSerializer):
    reason = serializers.CharField(max_length=MAX_REASON_CHARS, required=False, allow_blank=True)


class GrantFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    state = django_filters.MultipleChoiceFilter(choices=[(value, value) for value in STATES])
    tool = django_filters.CharFilter(max_length=200)
    agent = django_filters.CharFilter(field_name="agent_name", max_length=63)


class ApprovalGrantViewSet(WorkspaceViewSet):
    """The standing approval that can be given with one approval."""

    perms = {"retrieve": Perm.APPROVAL_VIEW, "create": Perm.APPROVAL_DECIDE}
    queryset = Approval.objects.all()
    serializer_class = ApprovalGrantSerializer
    input_serializers = {"create": GrantInput}

    @extend_schema(
        description="What a grant given with this approval would cover at least; nothing changes.",
        responses={200: GrantProposalSerializer},
    )
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        proposal = grant_propose(actor=self.actor, approval_id=self.get_object().pk)
        return Response(GrantProposalSerializer(proposal).data)

    @extend_schema(
        description="Approve, where it still waits, and let calls alike go unasked from now on.",
        request=GrantInput,
        responses={201: ApprovalGrantSerializer},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        approval = self.get_object()
        grant = grant_give(actor=self.actor, approval_id=approval.pk, **self.checked())
        return self.answer(grant, status_code=status.HTTP_201_CREATED, recheck=False)


class GrantViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin):
    """Standing approvals, newest first."""

    perms = {
        "list": Perm.APPROVAL_VIEW,
        "retrieve": Perm.APPROVAL_VIEW,
        "revoke": Perm.APPROVAL_DECIDE,
    }
    queryset = Grant.objects.all()
    serializer_class = ApprovalGrantSerializer
    filterset_class = GrantFilter
    input_serializers = {"revoke": RevocationInput}

    @extend_schema(
        description="End it at once: the next call is asked about again.",
        request=RevocationInput,
        responses={200: ApprovalGrantSerializer},
    )
    def revoke(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        grant = self.get_object()
        return self.answer(grant_revoke(actor=self.actor, grant_id=grant.pk, **self.checked()))


class GrantUseViewSet(WorkspaceViewSet, ListMixin):
    """The calls that a grant let go unasked, newest first."""

    perms = {"list": Perm.APPROVAL_VIEW}
    queryset = GrantUse.objects.all()
    serializer_class = GrantUseSerializer
    workspace_path = "grant__workspace"

    def rows(self) -> QuerySet[Any]:
        rows = super().rows()
        if self.is_described:
            return rows
        here = grant_list(self.actor).filter(workspace=self.workspace, pk=self.kwargs["pk"])
        if not here.exists():
            raise NotFoundError("There is no grant here of this id.", remedy="List the grants.")
        return rows.filter(grant_id=self.kwargs["pk"])
