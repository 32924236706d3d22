"""REST views of approvals: the inbox, one question with its evidence, and deciding."""

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import StrictSerializer
from governance.contracts import ApprovalKind, ApprovalState, Perm, Verdict
from governance.guard.nested import PayloadModelSerializer, WorkspaceViewSet
from governance.guard.viewsets import ListMixin, RetrieveMixin
from governance.models import Approval, ApprovalVote
from governance.selectors.approvals import Decider, decider_of, difference
from governance.selectors.evidence import approval_evidence
from governance.services.approvals import approval_decide
from governance.services.approvals.deciding import MAX_REASON_CHARS

STATES = [member.value for member in ApprovalState]
KINDS = [member.value for member in ApprovalKind]
VERDICTS = [member.value for member in Verdict]


@extend_schema_field(
    {"oneOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}
)
class ArgumentsField(serializers.JSONField):
    """A JSON object of any content, or nothing."""


@extend_schema_field({"type": "object", "additionalProperties": True})
class NewArgumentsField(serializers.DictField):
    """A JSON object of any content."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
class CountsField(serializers.DictField):
    """Numbers by what they count."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class FactsField(serializers.JSONField):
    """Facts by name."""


@extend_schema_field(
    {
        "oneOf": [
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "null"},
        ]
    }
)
class BindingField(serializers.JSONField):
    """Facts by name, or nothing where payload is hidden."""


class ApprovalVoteSerializer(serializers.ModelSerializer[ApprovalVote]):
    user = serializers.CharField(source="user.username", read_only=True)
    on_behalf_of = serializers.CharField(
        source="for_user.username", read_only=True, allow_null=True, default=None
    )
    is_counted = serializers.SerializerMethodField()

    class Meta:
        model = ApprovalVote
        fields = ("user", "on_behalf_of", "verdict", "surface", "at", "is_counted")
        read_only_fields = fields

    def get_is_counted(self, vote: ApprovalVote) -> bool:
        return vote.digest == vote.approval.binding_digest


class ArgumentDifferenceSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ApprovalSerializer(PayloadModelSerializer):
    """A question to a person. `may_decide`: whether it is for whoever asks to decide now."""

    payload_fields: ClassVar[tuple[str, ...]] = (
        "question",
        "arguments",
        "edited_arguments",
        "difference",
        "reason",
        # Digests of arguments and of secrets: whoever can guess those could make sure with them.
        "binding",
        "binding_digest",
    )

    kind = serializers.CharField(read_only=True)
    state = serializers.ChoiceField(choices=STATES, read_only=True)
    subject = serializers.UUIDField(source="subject_id", read_only=True)
    run = serializers.UUIDField(source="run_id", read_only=True, allow_null=True)
    agent = serializers.CharField(source="agent_name", read_only=True, allow_blank=True)
    requester = serializers.CharField(source="requester_name", read_only=True, allow_blank=True)
    question = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    arguments = ArgumentsField(read_only=True)
    edited_arguments = ArgumentsField(read_only=True)
    difference = serializers.SerializerMethodField()
    approvers = serializers.ListField(child=serializers.CharField(), read_only=True)
    escalate_to = serializers.ListField(child=serializers.CharField(), read_only=True)
    choices = serializers.ListField(child=serializers.CharField(), read_only=True)
    binding = BindingField(read_only=True)
    binding_digest = serializers.CharField(read_only=True, allow_null=True)
    decided_by = serializers.CharField(source="decided_by_name", read_only=True, allow_blank=True)
    votes = ApprovalVoteSerializer(many=True, read_only=True)
    may_decide = serializers.SerializerMethodField()

    class Meta:
        model = Approval
        fields = (
            "id", "kind", "subject", "run", "agent", "requester", "title", "question", "state",
            "tool", "effect", "is_privileged", "is_grantable", "choices", "choice", "binding",
            "binding_digest", "arguments", "edited_arguments", "difference", "approvers", "quorum",
            "allow_self", "allow_owner", "rule", "policy_version", "expires_at", "on_expiry",
            "escalate_to", "escalations", "warned_at", "created_at", "decided_at",
            "decided_by", "reason", "surface", "used_at", "votes", "may_decide", "payload_hidden",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(ArgumentDifferenceSerializer(many=True, allow_null=True))
    def get_difference(self, row: Approval) -> list[dict[str, Any]]:
        if row.edited_arguments is None:
            return []
        return difference(row.arguments, row.edited_arguments)

    def get_may_decide(self, row: Approval) -> bool:
        decider: Decider = self.context["view"].decider
        return decider.may_decide(row)


class EvidencePlaceSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="Of the message in the run's history.")
    kind = serializers.CharField()
    excerpt = serializers.CharField()


class EvidenceSourceSerializer(serializers.Serializer[Any]):
    """`is_found` false: the value stands nowhere but in the model's own words, which is usual."""

    path = serializers.CharField()
    is_found = serializers.BooleanField()
    sentence = serializers.CharField(help_text="Where the value comes from, for people.")
    places = EvidencePlaceSerializer(many=True)


class SimilarDecisionSerializer(serializers.Serializer[Any]):
    approval = serializers.UUIDField()
    state = serializers.ChoiceField(choices=STATES)
    by = serializers.CharField(allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    at = serializers.CharField(allow_blank=True)
    agent = serializers.CharField(allow_blank=True)
    requester = serializers.CharField(allow_blank=True)
    difference = ArgumentDifferenceSerializer(many=True)


class EvidenceSandboxSerializer(serializers.Serializer[Any]):
    """The sandbox a program asks for; `site` leaves the engine to the site."""

    engine = serializers.CharField()
    is_unprotected = serializers.BooleanField(
        help_text="It would run without a sandbox, beside the worker."
    )
    net = serializers.ListField(child=serializers.CharField())


class EvidenceSerializer(serializers.Serializer[Any]):
    """Where the call would run, what it would change (or why that was not found out), where its
    arguments come from, what waits for the answer, and what was said of calls like it (`counts` of
    the last 200)."""

    sandbox = EvidenceSandboxSerializer(allow_null=True)
    plan = ArgumentsField()
    plan_problem = serializers.CharField()
    sources = EvidenceSourceSerializer(many=True)
    waits = NewArgumentsField()
    similar = SimilarDecisionSerializer(many=True)
    counts = CountsField()


class ApprovalDetailSerializer(ApprovalSerializer):
    """A question with everything its approver needs."""

    payload_fields: ClassVar[tuple[str, ...]] = (*ApprovalSerializer.payload_fields, "evidence")

    evidence = serializers.SerializerMethodField()

    class Meta(ApprovalSerializer.Meta):
        fields: Any = (*ApprovalSerializer.Meta.fields, "evidence")
        read_only_fields = fields

    @extend_schema_field(EvidenceSerializer(allow_null=True))
    def get_evidence(self, row: Approval) -> dict[str, Any] | None:
        view = self.context["view"]
        return approval_evidence(view.actor, row) if view.is_payload_visible else None


class DecisionInput(StrictSerializer):
    """`arguments`: approve with these in place of the asked ones. `binding_digest`: the one that
    was read; another meanwhile is a conflict, and agreeing to what somebody changed takes it."""

    verdict = serializers.ChoiceField(choices=VERDICTS)
    reason = serializers.CharField(max_length=MAX_REASON_CHARS, required=False, allow_blank=True)
    arguments = NewArgumentsField(required=False)
    choice = serializers.CharField(max_length=40, required=False, allow_blank=True)
    binding_digest = serializers.CharField(source="seen_digest", max_length=64, required=False)


class ApprovalFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    state = django_filters.MultipleChoiceFilter(choices=[(value, value) for value in STATES])
    kind = django_filters.ChoiceFilter(choices=[(value, value) for value in KINDS])
    run = django_filters.UUIDFilter(field_name="run_id")
    agent = django_filters.CharFilter(field_name="agent_name", max_length=63)
    requester = django_filters.CharFilter(field_name="requester_name", max_length=150)


class ApprovalViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin):
    """Questions to people, newest first; `state=pending` is the inbox."""

    perms = {
        "list": Perm.APPROVAL_VIEW,
        "retrieve": Perm.APPROVAL_VIEW,
        "decide": Perm.APPROVAL_VIEW,  # or what somebody lent who is away; the service decides
    }
    queryset = Approval.objects.all()
    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter
    input_serializers = {"decide": DecisionInput}

    _decider: Decider | None = None

    def get_serializer_class(self) -> Any:
        return ApprovalDetailSerializer if self.action == "retrieve" else ApprovalSerializer

    @property
    def decider(self) -> Decider:
        if self._decider is None:
            self._decider = decider_of(self.actor, self.workspace.pk)
        return self._decider

    def rows(self) -> QuerySet[Any]:
        rows = super().rows().select_related("workspace")
        return rows.prefetch_related("votes__user", "votes__for_user", "votes__approval")

    @extend_schema(
        description="Say yes or no. Of several people who decide at once one wins; the others get "
        "409 with the winner. With `arguments` something else is approved than was asked. The "
        "approval is still pending in the answer when its quorum is not reached.",
        request=DecisionInput,
        responses={200: ApprovalSerializer},
    )
    def decide(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        approval = self.get_object()
        return self.answer(
            approval_decide(actor=self.actor, approval_id=approval.pk, **self.checked())
        )
