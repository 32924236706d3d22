from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.contracts import VersionState
from core.ids import new_id
from governance.models import Workspace


def version_state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in VersionState]


class Agent(models.Model):
    """A name people start runs by; what it does is in its versions."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    description = models.TextField(blank=True)
    published = models.ForeignKey(
        "AgentVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="agent_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class AgentVersion(models.Model):
    """One specification of an agent. A draft may change; a published one never does."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(
        max_length=20, choices=version_state_choices, default=VersionState.DRAFT.value
    )
    spec = models.JSONField()
    digest = models.CharField(max_length=64)
    note = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["agent", "number"], name="agent_version_number_once"),
            models.UniqueConstraint(
                fields=["agent"],
                condition=models.Q(state="draft"),
                name="agent_version_one_draft",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent} v{self.number}"
