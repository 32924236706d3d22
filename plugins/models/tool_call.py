from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from plugins.contracts import CallState, EffectClass


def state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in CallState]


def effect_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in EffectClass]


class ToolCall(models.Model):
    """One entry of the effect ledger: an intent, durable before the effect, and its outcome.

    Written only by the run's owner through the journal, or by a decision about a call that no
    worker holds. The id is the idempotency key of every attempt.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace_id = models.UUIDField()
    run_id = models.UUIDField()
    position = models.IntegerField(help_text="Of the assistant message that asked.")
    index = models.IntegerField(help_text="Within that message.")
    provider_call_id = models.CharField(max_length=200)
    tool = models.CharField(max_length=200)
    spec_digest = models.CharField(max_length=64, blank=True)
    arguments = models.JSONField(null=True)
    arguments_digest = models.CharField(max_length=64, blank=True)
    effect = models.CharField(max_length=20, choices=effect_choices)
    state = models.CharField(max_length=20, choices=state_choices)
    attempt = models.IntegerField(default=0)
    wait = models.JSONField(null=True, help_text="What a waiting call waits for.")
    result = models.TextField(blank=True, help_text="What the model is shown; bounded.")
    result_digest = models.CharField(
        max_length=64, blank=True, help_text="Of the full result's blob."
    )
    is_error = models.BooleanField(default=False)
    reason = models.TextField(blank=True, help_text="Why denied, failed, expired or in doubt.")
    decision = models.JSONField(null=True, help_text="Policy verdict, or who resolved it and how.")
    planned_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["run_id", "position", "index"], name="tool_call_place_once"
            )
        ]
        indexes = [
            # A workspace's ledger, newest first, and what policies are tried on: without it a
            # workspace with few calls is found by reading everybody's.
            models.Index(fields=["workspace_id", "id"], name="tool_call_of_workspace"),
            # The queue of calls that a person must settle.
            models.Index(
                fields=["workspace_id", "planned_at"],
                name="tool_call_in_doubt",
                condition=models.Q(state="in_doubt"),
            ),
            # What went wrong of late.
            models.Index(
                fields=["workspace_id", "-id"],
                name="tool_call_failed",
                condition=models.Q(state="failed"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.state}"
