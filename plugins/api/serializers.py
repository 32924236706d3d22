"""What the API of tools and calls takes and shows."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.serializers import StrictSerializer
from governance.guard.nested import PayloadModelSerializer
from plugins.contracts import CallState, EffectClass, ToolKind
from plugins.models import ToolCall
from plugins.services.calls import Resolution
from sandbox.contracts import Isolation

EFFECTS = [member.value for member in EffectClass]
OUTCOMES = [member.value for member in Resolution]
CALL_STATES = [member.value for member in CallState]
KINDS = [member.value for member in ToolKind]
ENGINES = [member.value for member in Isolation if member is not Isolation.SITE]


def _script() -> serializers.CharField:
    return serializers.CharField(
        max_length=100_000, allow_blank=True, trim_whitespace=False, required=False
    )


@extend_schema_field({"type": "object", "additionalProperties": True})
class ObjectField(serializers.DictField):
    """A JSON object of any content."""


@extend_schema_field(
    {"oneOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}
)
class NullableObjectField(serializers.JSONField):
    """A JSON object of any content, or nothing."""


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "maxLength": 128},
            {
                "type": "object",
                "required": ["name", "host", "header"],
                "additionalProperties": False,
                "properties": {
                    name: {"type": "string"} for name in ("name", "host", "header", "format")
                },
            },
        ]
    }
)
class SecretField(serializers.JSONField):
    """The name of a secret, or one that is added for a host; the service checks what it is."""


class ToolSerializer(serializers.Serializer[Any]):
    """A tool. Of what an HTTP endpoint and a command have, the others leave it empty."""

    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    effect = serializers.ChoiceField(choices=EFFECTS)
    input_schema = ObjectField()
    is_builtin = serializers.BooleanField()
    is_privileged = serializers.BooleanField()
    is_enabled = serializers.BooleanField()
    timeout_seconds = serializers.FloatField()
    url = serializers.CharField(allow_blank=True)
    method = serializers.CharField(allow_blank=True)
    headers = serializers.DictField(child=serializers.CharField(allow_blank=True))
    probe_url = serializers.CharField(allow_blank=True)
    kind = serializers.ChoiceField(choices=["builtin", *KINDS])
    is_sandboxed = serializers.BooleanField(help_text="It runs in a sandbox and nowhere else.")
    is_unprotected = serializers.BooleanField(
        help_text="It is a program that runs WITHOUT a sandbox."
    )
    command = serializers.CharField(allow_blank=True)
    engine = serializers.ChoiceField(choices=ENGINES, allow_blank=True)
    net = serializers.ListField(child=serializers.CharField())
    limits = ObjectField()
    secrets = serializers.ListField(
        child=SecretField(),
        help_text="Names of files in /run/secrets, and secrets added outside for one host.",
    )
    output_schema = NullableObjectField()
    probe_command = serializers.CharField(allow_blank=True)
    plan_command = serializers.CharField(allow_blank=True)


class ToolChange(StrictSerializer):
    description = serializers.CharField(max_length=4_000, required=False)
    url = serializers.CharField(max_length=2_000, required=False)
    method = serializers.CharField(max_length=8, required=False)
    input_schema = ObjectField(required=False)
    effect = serializers.ChoiceField(choices=EFFECTS, required=False)
    is_privileged = serializers.BooleanField(required=False)
    is_enabled = serializers.BooleanField(required=False)
    headers = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=2_000), required=False
    )
    probe_url = serializers.CharField(max_length=2_000, allow_blank=True, required=False)
    timeout_seconds = serializers.FloatField(required=False)
    kind = serializers.ChoiceField(choices=KINDS, required=False)
    command = _script()
    engine = serializers.ChoiceField(choices=ENGINES, allow_blank=True, required=False)
    net = serializers.ListField(
        child=serializers.CharField(max_length=300), max_length=64, required=False
    )
    limits = ObjectField(required=False)
    secrets = serializers.ListField(child=SecretField(), max_length=32, required=False)
    output_schema = NullableObjectField(required=False, allow_null=True)
    probe_command = _script()
    plan_command = _script()


class ToolInput(ToolChange):
    name = serializers.CharField(max_length=63)
    description = serializers.CharField(max_length=4_000)


class ToolCallSerializer(PayloadModelSerializer):
    """One entry of the effect ledger."""

    payload_fields = ("arguments", "wait", "result", "reason", "decision")

    run = serializers.UUIDField(source="run_id", read_only=True)
    arguments = NullableObjectField(read_only=True)
    wait = NullableObjectField(read_only=True)
    result = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    reason = serializers.CharField(read_only=True, allow_null=True, allow_blank=True)
    decision = NullableObjectField(read_only=True)
    state = serializers.ChoiceField(choices=CALL_STATES, read_only=True)
    effect = serializers.ChoiceField(choices=EFFECTS, read_only=True)

    class Meta:
        model = ToolCall
        fields = (
            "id", "run", "position", "index", "tool", "arguments", "effect", "state", "attempt",
            "wait", "result", "result_digest", "is_error", "reason", "decision", "planned_at",
            "dispatched_at", "settled_at", "payload_hidden",
        )  # fmt: skip
        read_only_fields = fields


class ResolveInput(StrictSerializer):
    outcome = serializers.ChoiceField(choices=OUTCOMES)
    result = serializers.CharField(
        max_length=32_000, required=False, allow_blank=True, trim_whitespace=False
    )
    note = serializers.CharField(max_length=2_000, required=False, allow_blank=True)
