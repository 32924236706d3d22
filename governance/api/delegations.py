"""REST views of delegations: who decides for whom while they are away."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from governance.contracts import Perm
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import CreateMixin, ListMixin, RetrieveMixin
from governance.models import Delegation
from governance.services.delegations import MAX_REASON_CHARS, delegation_create, delegation_end


class DelegationSerializer(serializers.ModelSerializer[Delegation]):
    """`delegate` decides for `delegator` from `from_at` until `until_at`, or until it was ended."""

    delegator = serializers.CharField(source="delegator.username", read_only=True)
    delegate = serializers.CharField(source="delegate.username", read_only=True)
    created_by = serializers.CharField(source="created_by_name", read_only=True)
    ended_by = serializers.CharField(source="ended_by_name", read_only=True, allow_blank=True)

    class Meta:
        model = Delegation
        fields = (
            "id", "delegator", "delegate", "from_at", "until_at", "reason", "created_at",
            "created_by", "ended_at", "ended_by",
        )  # fmt: skip
        read_only_fields = fields


class DelegationInput(StrictSerializer):
    """`delegator`: who is away, for an admin to say; whoever asks, if not said."""

    delegate = serializers.CharField(max_length=150)
    until_at = serializers.DateTimeField()
    from_at = serializers.DateTimeField(required=False)
    delegator = serializers.CharField(max_length=150, required=False)
    reason = serializers.CharField(max_length=MAX_REASON_CHARS, required=False, allow_blank=True)


class DelegationViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin):
    """Delegations, newest first."""

    perms = {
        "list": Perm.APPROVAL_VIEW,
        "retrieve": Perm.APPROVAL_VIEW,
        "create": Perm.APPROVAL_VIEW,  # lending takes what is lent; the service asks for it
        "end": Perm.APPROVAL_VIEW,  # by who is concerned; the service asks for more otherwise
    }
    queryset = Delegation.objects.select_related("delegator", "delegate")
    serializer_class = DelegationSerializer
    input_serializers = {"create": DelegationInput, "end": StrictSerializer}

    def perform_create(self, data: dict[str, Any]) -> Delegation:
        return delegation_create(actor=self.actor, workspace=self.workspace, **data)

    @extend_schema(
        description="End it before its time.",
        request=None,
        responses={200: DelegationSerializer},
    )
    def end(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        row = self.get_object()
        return self.answer(delegation_end(actor=self.actor, delegation_id=row.pk))
