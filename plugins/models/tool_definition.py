from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.models import Workspace
from plugins.contracts import EffectClass, ToolKind


def kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ToolKind]


def effect_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in EffectClass]


class ToolDefinition(models.Model):
    """A tool a workspace declared as data: an HTTP endpoint, or a command that runs in a sandbox.

    Built-ins live in code.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=10, choices=kind_choices, default=ToolKind.HTTP.value)
    description = models.TextField()
    input_schema = models.JSONField(default=dict)
    effect = models.CharField(
        max_length=20, choices=effect_choices, default=EffectClass.IRREVERSIBLE.value
    )
    is_privileged = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)
    url = models.URLField(max_length=2000, blank=True)
    method = models.CharField(max_length=8, default="POST")
    headers = models.JSONField(default=dict, blank=True)
    probe_url = models.CharField(
        max_length=2000,
        blank=True,
        help_text="Asked after a crash; `{key}` is the idempotency key.",
    )
    timeout_seconds = models.FloatField(default=30)
    command = models.TextField(
        blank=True, help_text="Shell text; arguments are `$ARG_NAME` and JSON on standard input."
    )
    engine = models.CharField(
        max_length=20, blank=True, help_text="Of its sandbox; empty: the site's own."
    )
    net = models.JSONField(
        default=list, blank=True, help_text="`host:port` pairs it may reach; empty: no network."
    )
    limits = models.JSONField(
        default=dict,
        blank=True,
        help_text="Of its sandbox, by name; others have their defaults.",
    )
    secrets = models.JSONField(
        default=list,
        blank=True,
        help_text="Names of secrets it finds in `/run/secrets`, and objects with `name`, `host`, "
        "`header` and `format` for those that are added outside.",
    )
    output_schema = models.JSONField(
        null=True, blank=True, help_text="JSON Schema of what it prints; empty: any text."
    )
    probe_command = models.TextField(
        blank=True, help_text="Asked after a crash; prints whether the call happened."
    )
    plan_command = models.TextField(
        blank=True, help_text="Prints what a call would change, without changing it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="tool_definition_name_once")
        ]

    def __str__(self) -> str:
        return self.name
