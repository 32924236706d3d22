"""REST views of channels, of what was sent through them, and of decisions that come back."""

from typing import Any

import django_filters
import msgspec
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.serializers import NothingInput, StrictSerializer
from core.errors import DomainError, InvalidInputError
from governance import access
from governance.api.approvals import ApprovalSerializer, ApprovalViewSet, NewArgumentsField
from governance.channels.messages import slack_answer
from governance.channels.pressed import pressed
from governance.contracts import ChannelEvent, ChannelKind, DeliveryState, Perm, Verdict
from governance.guard.hooks import SlackAuthentication, WebhookAuthentication
from governance.guard.nested import WorkspaceViewSet
from governance.guard.viewsets import (
    CreateMixin,
    DestroyMixin,
    ListMixin,
    RetrieveMixin,
    UpdateMixin,
)
from governance.models import Channel, Delivery
from governance.selectors.channels import address_shown, channel_list, delivery_list
from governance.services.approvals import approval_decide
from governance.services.approvals.deciding import MAX_REASON_CHARS
from governance.services.channels import channel_create, channel_delete, channel_update
from governance.services.deliveries import channel_test, delivery_redeliver

CHANNEL_KINDS = [member.value for member in ChannelKind]
DELIVERY_STATES = [member.value for member in DeliveryState]


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class NamesField(serializers.DictField):
    """Usernames by the ids of the channel's members."""


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """A channel. `secret` is there once, in the answer to what made it."""

    url = serializers.SerializerMethodField(
        help_text="Without its path for whoever may not change channels."
    )
    addresses = serializers.ListField(child=serializers.CharField(), read_only=True)
    events = serializers.ListField(child=serializers.CharField(), read_only=True)
    acts_as = serializers.CharField(source="acts_as.username", read_only=True, default=None,
                                    allow_null=True)  # fmt: skip
    identities = serializers.SerializerMethodField()
    has_secret = serializers.SerializerMethodField()
    secret = serializers.SerializerMethodField()

    class Meta:
        model = Channel
        fields = (
            "id", "name", "kind", "url", "addresses", "events", "acts_as", "identities",
            "is_enabled", "has_secret", "secret", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_url(self, row: Channel) -> str:
        is_whole = self.context["view"].is_editor
        return row.url if is_whole else address_shown(row.url)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_identities(self, row: Channel) -> dict[str, str]:
        return {one.external_id: one.user.username for one in row.identities.all()}

    def get_has_secret(self, row: Channel) -> bool:
        return row.sealed_secret is not None

    def get_secret(self, row: Channel) -> str | None:
        return getattr(self.context["view"], "made_secret", "") or None


class ChannelChange(StrictSerializer):
    url = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=320), required=False, max_length=50
    )
    events = serializers.ListField(
        child=serializers.ChoiceField(
            choices=[event.value for event in ChannelEvent if event is not ChannelEvent.TEST]
        ),
        required=False,
        max_length=20,
    )
    acts_as = serializers.CharField(max_length=150, required=False, allow_null=True)
    identities = NamesField(child=serializers.CharField(max_length=150), required=False)
    is_enabled = serializers.BooleanField(required=False)
    secret = serializers.CharField(
        max_length=500, required=False, allow_blank=True, write_only=True,
        help_text="Empty: a new one is made, and shown in the answer.",
    )  # fmt: skip


class ChannelInput(ChannelChange):
    name = serializers.CharField(max_length=63)
    kind = serializers.ChoiceField(choices=CHANNEL_KINDS)


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    channel = serializers.CharField(source="channel.name", read_only=True)
    state = serializers.ChoiceField(choices=DELIVERY_STATES, read_only=True)

    class Meta:
        model = Delivery
        fields = (
            "id", "channel", "event", "recipient", "state", "attempts", "due_at", "last_error",
            "created_at", "settled_at",
        )  # fmt: skip
        read_only_fields = fields


class DeliveryFilter(django_filters.FilterSet):  # type: ignore[misc]  # publishes no types
    channel = django_filters.CharFilter(field_name="channel__name", max_length=63)
    state = django_filters.MultipleChoiceFilter(
        choices=[(value, value) for value in DELIVERY_STATES]
    )


class ChannelViewSet(
    WorkspaceViewSet, ListMixin, RetrieveMixin, CreateMixin, UpdateMixin, DestroyMixin
):
    """Where the workspace's news goes: webhooks, letters, Slack."""

    perms = {
        "list": Perm.CHANNEL_VIEW,
        "retrieve": Perm.CHANNEL_VIEW,
        "create": Perm.CHANNEL_EDIT,
        "partial_update": Perm.CHANNEL_EDIT,
        "destroy": Perm.CHANNEL_EDIT,
        "test": Perm.CHANNEL_EDIT,
    }
    queryset = Channel.objects.all()
    serializer_class = ChannelSerializer
    lookup_field = "name"
    input_serializers = {
        "create": ChannelInput,
        "partial_update": ChannelChange,
        "test": NothingInput,
    }
    unkeyed_actions = frozenset({"create", "partial_update"})
    made_secret = ""
    _is_editor: bool | None = None

    @property
    def is_editor(self) -> bool:
        if self._is_editor is None:
            self._is_editor = access.can(self.actor, Perm.CHANNEL_EDIT, self.workspace)
        return self._is_editor

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return Channel.objects.none()
        return channel_list(self.actor, self.workspace)

    @extend_schema(request=ChannelInput, responses={201: ChannelSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.workspace  # noqa: B018 - whether one may, before what one says
        return super().create(request, *args, **kwargs)

    @extend_schema(request=ChannelChange, responses={200: ChannelSerializer})
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().partial_update(request, *args, **kwargs)

    def perform_create(self, data: dict[str, Any]) -> Channel:
        made = channel_create(self.actor, workspace=self.workspace, **data)
        self.made_secret = made.secret
        return made.channel

    def perform_update(self, row: Channel, data: dict[str, Any]) -> Channel:
        made = channel_update(self.actor, channel=row, **data)
        self.made_secret = made.secret
        return made.channel

    def perform_destroy(self, row: Channel) -> None:
        channel_delete(self.actor, channel=row)

    @extend_schema(
        description="Send a message that says it is a test; its outcome is in the deliveries.",
        request=NothingInput,
        responses={202: DeliverySerializer},
    )
    def test(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        sent = channel_test(self.actor, channel=self.get_object())
        shown = DeliverySerializer(sent, context=self.get_serializer_context())
        return Response(shown.data, status=status.HTTP_202_ACCEPTED)


class DeliveryViewSet(WorkspaceViewSet, ListMixin, RetrieveMixin):
    """What was sent through channels, and what is still to be sent, newest first."""

    perms = {
        "list": Perm.CHANNEL_VIEW,
        "retrieve": Perm.CHANNEL_VIEW,
        "redeliver": Perm.CHANNEL_EDIT,
    }
    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    filterset_class = DeliveryFilter
    input_serializers = {"redeliver": NothingInput}

    def rows(self) -> QuerySet[Any]:
        if self.is_described:
            return Delivery.objects.none()
        return delivery_list(self.actor, self.workspace)

    @extend_schema(
        description="Send it once more, with the id it had.",
        request=NothingInput,
        responses={200: DeliverySerializer},
    )
    def redeliver(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.checked()
        return self.answer(delivery_redeliver(self.actor, delivery=self.get_object()))


class HookDecision(StrictSerializer):
    """`binding_digest` is the one of the message that is answered: what was seen is decided."""

    approval = serializers.UUIDField()
    binding_digest = serializers.CharField(max_length=64)
    verdict = serializers.ChoiceField(choices=[member.value for member in Verdict])
    reason = serializers.CharField(max_length=MAX_REASON_CHARS, required=False, allow_blank=True)
    arguments = NewArgumentsField(required=False)


class WebhookDecisionViewSet(ApprovalViewSet):
    """Decisions that come in signed, by the account the channel acts as."""

    perms = {"decide": Perm.APPROVAL_DECIDE}
    authentication_classes = [WebhookAuthentication]
    input_serializers = {"decide": HookDecision}
    unkeyed_actions = frozenset({"decide"})

    @extend_schema(
        description="Decide as the account the channel acts as. Signed by Standard Webhooks with "
        "the channel's secret; the message may be sent again, the second answer is 409.",
        request=HookDecision,
        responses={200: ApprovalSerializer},
    )
    def decide(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        given = HookDecision(data=_json(request._request.body))
        given.is_valid(raise_exception=True)
        data = dict(given.validated_data)
        approval_id = data.pop("approval")
        digest = data.pop("binding_digest")
        self.kwargs["pk"] = approval_id
        self.get_object()
        return self.answer(
            approval_decide(
                actor=self.actor,
                approval_id=approval_id,
                surface="webhook",
                seen_digest=digest,
                **data,
            )
        )


class SlackDecisionViewSet(ApprovalViewSet):
    """Buttons pressed in Slack, by the accounts joined to its members."""

    perms = {"press": Perm.APPROVAL_DECIDE}
    authentication_classes = [SlackAuthentication]
    input_serializers = {"press": NothingInput}
    unwrapped_actions = frozenset({"press"})
    unkeyed_actions = frozenset({"press"})

    @extend_schema(
        description="What Slack sends for interactive messages. The answer is a message that takes "
        "the place of the one with the buttons, or one that only whoever pressed sees.",
        request={"application/x-www-form-urlencoded": OpenApiTypes.OBJECT},
        responses={200: OpenApiResponse(OpenApiTypes.OBJECT)},
    )
    def press(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.workspace  # noqa: B018 - asks whether one may decide here
        try:
            given = pressed(request._request.body)
            row = approval_decide(
                actor=self.actor,
                approval_id=given.approval_id,
                verdict=given.verdict,
                surface="slack",
                seen_digest=given.seen_digest,
            )
        except DomainError as error:
            return _slack(str(error), replaces=False)
        by = self.actor.username
        if row.state == "pending":
            return _slack(f"{by} agreed; it takes {row.quorum}.", replaces=False)
        return _slack(f"{row.title}: {row.state} by {by}.", replaces=True)


def _slack(sentence: str, *, replaces: bool) -> Response:
    return Response(msgspec.json.decode(slack_answer(sentence, replaces=replaces)))


def _json(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidInputError(
            f"The body is not JSON: {error}.", remedy="Send a JSON object."
        ) from None
