"""What the API of runs takes and shows. A run itself is described by `agents.representation`."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.api.serializers import ObjectField
from agents.contracts import Control, RunState
from agents.engine.debugging import MAX_BREAKPOINTS, MAX_VALUE_CHARS, BreakKind, Scope, StepMode
from agents.models import Checkpoint, Message, Run
from core.api.serializers import StrictSerializer
from governance.guard.nested import PayloadModelSerializer, PayloadSerializer
from plugins.contracts import WaitKind

STATES = [member.value for member in RunState]
BREAKPOINTS = [kind.value for kind in BreakKind]
MAX_INPUT_CHARACTERS = 1_000_000
MAX_WAIT_SECONDS = 60


class UsageSerializer(serializers.Serializer[Any]):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cache_read_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()


class ForkedFromSerializer(serializers.Serializer[Any]):
    run = serializers.UUIDField()
    sequence = serializers.IntegerField(allow_null=True)


class RunSerializer(serializers.Serializer[Run]):
    """One run. `input`, `output` and `reason` are null where `payload_hidden` is true."""

    id = serializers.UUIDField()
    workspace = serializers.CharField()
    agent = serializers.CharField()
    version = serializers.IntegerField(allow_null=True)
    session = serializers.UUIDField(allow_null=True)
    parent: Any = serializers.UUIDField(allow_null=True)
    root: Any = serializers.UUIDField()
    depth = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATES)
    wait_kind = serializers.ChoiceField(choices=[member.value for member in WaitKind])
    wake_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField(allow_null=True, allow_blank=True)
    error_code = serializers.CharField(allow_blank=True)
    control = serializers.ChoiceField(choices=[member.value for member in Control])
    control_by = serializers.CharField(allow_blank=True)
    input = serializers.CharField(allow_null=True, allow_blank=True)
    output = serializers.CharField(allow_null=True, allow_blank=True)
    payload_hidden = serializers.BooleanField()
    limits = ObjectField()
    usage = UsageSerializer()
    cost_usd = serializers.CharField(help_text="Dollars, exact, as text.")
    cost_is_partial = serializers.BooleanField(help_text="The cost is a floor.")
    iteration = serializers.IntegerField()
    message_count = serializers.IntegerField()
    head_sequence = serializers.IntegerField()
    crashes = serializers.IntegerField()
    priority = serializers.IntegerField()
    forked_from = ForkedFromSerializer(allow_null=True)
    replay_of = serializers.UUIDField(allow_null=True)
    trace_id = serializers.CharField(help_text="Of the OpenTelemetry trace the run belongs to.")
    surface = serializers.CharField(allow_blank=True)
    client = serializers.CharField(
        allow_blank=True,
        help_text="`cli` or `sdk`, where the request said so of itself; proves nothing.",
    )
    requested_by = serializers.UUIDField(allow_null=True)
    requested_by_name = serializers.CharField(
        allow_null=True, help_text="Username; null for a user who was deleted."
    )
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField()
    url = serializers.CharField()


class LimitsInput(StrictSerializer):
    """Bounds put over the agent's own; what is left out stays as it is."""

    max_iterations = serializers.IntegerField(min_value=1, max_value=10_000, required=False)
    max_tokens = serializers.IntegerField(min_value=1, allow_null=True, required=False)
    max_cost_usd = serializers.DecimalField(
        max_digits=16, decimal_places=8, min_value=0, allow_null=True, required=False
    )
    wall_seconds = serializers.FloatField(allow_null=True, required=False)
    model_retries = serializers.IntegerField(min_value=0, max_value=20, required=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value: dict[str, Any] = super().to_internal_value(data)
        if value.get("max_cost_usd") is not None:
            value["max_cost_usd"] = str(value["max_cost_usd"])
        return value


class InvokeInput(StrictSerializer):
    input = serializers.CharField(
        max_length=MAX_INPUT_CHARACTERS,
        trim_whitespace=False,
        error_messages={"blank": "The input is empty; say what the agent shall do."},
    )
    variables = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False), required=False
    )
    session = serializers.UUIDField(required=False, allow_null=True)
    limits = LimitsInput(required=False)
    model = serializers.CharField(max_length=100, allow_blank=True, required=False)
    wait = serializers.FloatField(
        min_value=0,
        max_value=MAX_WAIT_SECONDS,
        required=False,
        help_text="Seconds to hold the answer until the run has ended.",
    )
    stream = serializers.BooleanField(
        required=False, help_text="Answer with the run's events as they happen."
    )


class BreakpointInput(StrictSerializer):
    kind = serializers.ChoiceField(choices=BREAKPOINTS)
    value = serializers.CharField(
        max_length=MAX_VALUE_CHARS,
        help_text="A name or glob pattern of tools or agents, dollars, or text to look for.",
    )


class DebugSettingsInput(StrictSerializer):
    """What is left out is not set."""

    step = serializers.ChoiceField(choices=[mode.value for mode in StepMode], required=False)
    breakpoints = serializers.ListField(
        child=BreakpointInput(), required=False, max_length=MAX_BREAKPOINTS
    )
    scope = serializers.ChoiceField(
        choices=[scope.value for scope in Scope],
        required=False,
        help_text="`tree`: also every run it brings about.",
    )


class RunInput(InvokeInput):
    agent = serializers.CharField(max_length=63)
    debug = DebugSettingsInput(
        required=False, help_text="Start it with step mode or breakpoints; takes steering runs."
    )


class ResumeInput(StrictSerializer):
    limits = LimitsInput(required=False)


class CancelInput(StrictSerializer):
    reason = serializers.CharField(max_length=1_000, allow_blank=True, required=False)


class ForkInput(StrictSerializer):
    checkpoint = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, help_text="Default: the last one."
    )
    model = serializers.CharField(max_length=100, allow_blank=True, required=False)
    message = serializers.CharField(
        max_length=MAX_INPUT_CHARACTERS,
        required=False,
        trim_whitespace=False,
        help_text="Replaces the last user message, or goes on behind the last answer.",
    )
    start = serializers.BooleanField(required=False, help_text="False: the new run is paused.")


@extend_schema_field(
    {
        "type": ["array", "null"],
        "items": {"type": "object", "additionalProperties": True, "required": ["type"]},
        "description": "text, reasoning, tool_call, tool_call_response; null when hidden.",
    }
)
class PartsField(serializers.JSONField):
    """Parts of a message in the GenAI JSON shape."""


class MessageSerializer(PayloadModelSerializer):
    payload_fields = ("parts",)

    run = serializers.UUIDField(source="run_id", read_only=True)
    parts = PartsField(read_only=True)

    class Meta:
        model = Message
        fields = ("run", "position", "role", "parts", "created_at", "payload_hidden")
        read_only_fields = fields


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    """A point to fork from. What the engine keeps of it is not shown, only where it stands."""

    phase = serializers.SerializerMethodField()
    iteration = serializers.SerializerMethodField()

    class Meta:
        model = Checkpoint
        fields = (
            "sequence",
            "message_count",
            "phase",
            "iteration",
            "workspace_digest",
            "created_at",
        )
        read_only_fields = fields

    def get_phase(self, row: Checkpoint) -> str:
        return str(row.state.get("phase", ""))

    def get_iteration(self, row: Checkpoint) -> int:
        return int(row.state.get("iteration", 0))


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class EventPayloadField(serializers.JSONField):
    """What an event tells; null when hidden."""


class EventSerializer(serializers.Serializer[Any]):
    run_id = serializers.UUIDField()
    sequence = serializers.IntegerField()
    kind = serializers.CharField()
    at = serializers.DateTimeField()
    cursor = serializers.CharField(help_text="Goes on after this event.")
    payload = EventPayloadField()
    payload_hidden = serializers.BooleanField()


class ReasonSerializer(PayloadSerializer):
    payload_fields = ("sentence",)

    code = serializers.CharField()
    sentence = serializers.CharField(allow_null=True, allow_blank=True)
    remedy = serializers.CharField(allow_blank=True)
    since = serializers.DateTimeField(allow_null=True)
    subject = serializers.CharField(
        allow_blank=True, help_text="Id of the call, run or worker it is about."
    )


class WhySerializer(PayloadSerializer):
    """Why a run is where it is; sentences may quote payload and are hidden with it."""

    payload_fields = ("summary",)

    state = serializers.ChoiceField(choices=STATES)
    summary = serializers.CharField(allow_null=True, allow_blank=True)
    reasons = ReasonSerializer(many=True)
    blockers = serializers.ListField(
        child=serializers.CharField(), help_text="Codes of what a person must settle first."
    )
