"""What the API of agents, providers, models and routes takes and shows."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.contracts import ProviderKind, SessionStrategy, VersionState, WorkerState
from agents.models import Agent, AgentVersion, Model, ModelRoute, Provider, Session, Worker
from agents.selectors.workers import worker_is_alive, worker_state
from agents.spec import AgentSpec
from core.api.serializers import StrictSerializer

KINDS = [member.value for member in ProviderKind]
STRATEGIES = [member.value for member in SessionStrategy]
VERSION_STATES = [member.value for member in VersionState]
_OBJECT = {"type": "object", "additionalProperties": True}
_SPEC_NOTE = f"An agent's specification: {', '.join(AgentSpec.model_fields)}."


@extend_schema_field({**_OBJECT, "description": _SPEC_NOTE})
class SpecField(serializers.DictField):
    """An agent's specification; the service says what is wrong with it, by place."""


@extend_schema_field({"oneOf": [{**_OBJECT, "description": _SPEC_NOTE}, {"type": "null"}]})
class NullableSpecField(serializers.JSONField):
    """The specification that counts, or nothing while there is none."""


@extend_schema_field(_OBJECT)
class ObjectField(serializers.DictField):
    """A JSON object of any content."""


class AgentSerializer(serializers.ModelSerializer[Agent]):
    published = serializers.IntegerField(
        source="published.number",
        read_only=True,
        allow_null=True,
        help_text="Number of the version new runs start with.",
    )
    draft = serializers.SerializerMethodField()
    spec = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields = (
            "id", "name", "description", "is_enabled", "published", "draft", "spec", "created_at",
            "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_draft(self, agent: Agent) -> int | None:
        return next((version.number for version in _drafts(agent)), None)

    @extend_schema_field(NullableSpecField)
    def get_spec(self, agent: Agent) -> dict[str, Any] | None:
        """Of the published version; of the draft while nothing is published."""
        if agent.published is not None:
            return dict(agent.published.spec)
        return next((dict(version.spec) for version in _drafts(agent)), None)


def _drafts(agent: Agent) -> list[AgentVersion]:
    loaded: list[AgentVersion] | None = getattr(agent, "drafts", None)
    if loaded is None:
        loaded = list(agent.versions.filter(state=VersionState.DRAFT.value))
    return loaded


class AgentChange(StrictSerializer):
    description = serializers.CharField(max_length=2_000, allow_blank=True, required=False)
    is_enabled = serializers.BooleanField(required=False)


class AgentInput(StrictSerializer):
    name = serializers.CharField(max_length=63)
    description = serializers.CharField(max_length=2_000, allow_blank=True, required=False)
    spec = SpecField(required=False)


class VersionSerializer(serializers.ModelSerializer[AgentVersion]):
    created_by = serializers.CharField(
        source="created_by.username", read_only=True, allow_null=True
    )
    state = serializers.ChoiceField(choices=VERSION_STATES, read_only=True)
    spec = SpecField(read_only=True)

    class Meta:
        model = AgentVersion
        fields = (
            "id", "number", "state", "spec", "digest", "note", "created_by", "created_at",
            "published_at",
        )  # fmt: skip
        read_only_fields = fields


class DraftInput(StrictSerializer):
    spec = SpecField()
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


class ProviderSerializer(serializers.ModelSerializer[Provider]):
    """The key is never shown; `has_key` says whether one is stored or named."""

    kind = serializers.ChoiceField(choices=KINDS, read_only=True)
    has_key = serializers.SerializerMethodField()

    class Meta:
        model = Provider
        fields = (
            "id", "name", "kind", "base_url", "has_key", "key_env", "script", "max_concurrency",
            "max_retries", "timeout_seconds", "is_enabled", "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_has_key(self, provider: Provider) -> bool:
        return provider.sealed_key is not None or bool(provider.key_env)


class ProviderChange(StrictSerializer):
    base_url = serializers.CharField(max_length=500, allow_blank=True, required=False)
    api_key = serializers.CharField(
        max_length=4_000,
        allow_blank=True,
        required=False,
        write_only=True,
        help_text="Stored sealed, never shown. Empty: none.",
    )
    key_env = serializers.CharField(
        max_length=100,
        allow_blank=True,
        required=False,
        help_text="Instead of api_key, for the vendor's own address: a variable of the workers "
        "that the site allows.",
    )
    script = serializers.CharField(
        max_length=262_144, allow_blank=True, required=False, trim_whitespace=False
    )
    max_concurrency = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    max_retries = serializers.IntegerField(min_value=0, max_value=10, required=False)
    timeout_seconds = serializers.FloatField(max_value=3_600, required=False)
    is_enabled = serializers.BooleanField(required=False)


class ProviderInput(ProviderChange):
    name = serializers.CharField(max_length=63)
    kind = serializers.ChoiceField(choices=KINDS)


class ProviderCheckSerializer(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    detail = serializers.CharField()
    remedy = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True, help_text="What answered.")
    duration_seconds = serializers.FloatField()


def _price(**options: Any) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=12, decimal_places=6, allow_null=True, min_value=0, **options
    )


class ModelSerializer(serializers.ModelSerializer[Model]):
    """Prices are dollars a million tokens; null: looked up in the price table."""

    provider = serializers.CharField(source="provider.name", read_only=True)
    fallback = serializers.CharField(source="fallback.name", read_only=True, allow_null=True)
    options = ObjectField(read_only=True)

    class Meta:
        model = Model
        fields = (
            "id", "name", "provider", "vendor_name", "options", "fallback", "input_price_usd",
            "output_price_usd", "cache_read_price_usd", "cache_write_price_usd", "is_enabled",
            "created_at", "updated_at",
        )  # fmt: skip
        read_only_fields = fields


class ModelChange(StrictSerializer):
    provider = serializers.CharField(max_length=63, required=False)
    vendor_name = serializers.CharField(max_length=200, required=False)
    options = ObjectField(required=False)
    fallback = serializers.CharField(max_length=100, allow_null=True, required=False)
    input_price_usd = _price(required=False)
    output_price_usd = _price(required=False)
    cache_read_price_usd = _price(required=False)
    cache_write_price_usd = _price(required=False)
    is_enabled = serializers.BooleanField(required=False)


class ModelInput(ModelChange):
    name = serializers.CharField(max_length=100)
    provider = serializers.CharField(max_length=63)
    vendor_name = serializers.CharField(max_length=200)


class RouteSerializer(serializers.ModelSerializer[ModelRoute]):
    if_contains = serializers.ListField(
        child=serializers.CharField(allow_blank=True), read_only=True
    )
    model = serializers.CharField(source="model.name", read_only=True)

    class Meta:
        model = ModelRoute
        fields = ("id", "priority", "if_contains", "model")
        read_only_fields = fields


class RouteChange(StrictSerializer):
    priority = serializers.IntegerField(
        min_value=-1_000_000, max_value=1_000_000, required=False, help_text="Lower is asked first."
    )
    if_contains = serializers.ListField(
        child=serializers.CharField(max_length=200, allow_blank=True, trim_whitespace=False),
        min_length=1,
        max_length=50,
        required=False,
        help_text="One of these is in the input; an empty one is in every input.",
    )
    model = serializers.CharField(max_length=100, required=False)


class RouteInput(RouteChange):
    if_contains = serializers.ListField(
        child=serializers.CharField(max_length=200, allow_blank=True, trim_whitespace=False),
        min_length=1,
        max_length=50,
        help_text="One of these is in the input; an empty one is in every input.",
    )
    model = serializers.CharField(max_length=100)


class SessionSerializer(serializers.ModelSerializer[Session]):
    agent = serializers.CharField(source="agent.name", read_only=True)
    strategy = serializers.ChoiceField(choices=STRATEGIES, read_only=True)

    class Meta:
        model = Session
        fields = ("id", "agent", "title", "strategy", "created_at", "updated_at")
        read_only_fields = fields


class SessionInput(StrictSerializer):
    agent = serializers.CharField(max_length=63)
    title = serializers.CharField(max_length=200, allow_blank=True, required=False)
    strategy = serializers.ChoiceField(
        choices=STRATEGIES,
        required=False,
        help_text="What new input does while a run is active; default: as the agent says.",
    )


class WorkerSerializer(serializers.ModelSerializer[Worker]):
    is_alive = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField(
        help_text="serving, asked (to drain), draining, drained or silent."
    )

    class Meta:
        model = Worker
        fields = (
            "id", "name", "host", "pid", "version", "capacity", "running", "ended_lately",
            "is_draining", "is_alive", "state", "drain_asked_at", "started_at", "seen_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_alive(self, worker: Worker) -> bool:
        return worker_is_alive(worker)

    def get_state(self, worker: Worker) -> WorkerState:
        return worker_state(worker)


class ApplyInput(StrictSerializer):
    documents = serializers.ListField(
        child=ObjectField(),
        max_length=500,
        help_text="apiVersion agentry/v1, kind (Secret, Provider, Tool, Model, Route, Budget, "
        "Channel, Policy, Agent), metadata {name}, spec.",
    )
    dry_run = serializers.BooleanField(required=False, default=False)


class DifferenceSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class ChangeSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    name = serializers.CharField()
    action = serializers.ChoiceField(choices=["create", "update", "unchanged"])
    diff = DifferenceSerializer(many=True)


class AppliedSerializer(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField()
    changes = ChangeSerializer(many=True)
