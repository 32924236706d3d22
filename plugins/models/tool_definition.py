from django.db import models

from core.ids import new_id
from governance.models import Workspace
from plugins.contracts import EffectClass


def effect_choices() -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in EffectClass]


class ToolDefinition(models.Model):
    """A tool a workspace declared as data (today: an HTTP endpoint); built-ins live in code."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    description = models.TextField()
    input_schema = models.JSONField(default=dict)
    effect = models.CharField(
        max_length=20, choices=effect_choices, default=EffectClass.IRREVERSIBLE.value
    )
    is_privileged = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)
    url = models.URLField(max_length=2000)
    method = models.CharField(max_length=8, default="POST")
    headers = models.JSONField(default=dict, blank=True)
    probe_url = models.CharField(
        max_length=2000,
        blank=True,
        help_text="Asked after a crash; `{key}` is the idempotency key.",
    )
    timeout_seconds = models.FloatField(default=30)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="tool_definition_name_once")
        ]

    def __str__(self) -> str:
        return self.name
