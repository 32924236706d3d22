from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.contracts import GrantState
from governance.models.approval import Approval
from governance.models.workspace import Workspace


def grant_state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in GrantState]


class Grant(models.Model):
    """A standing approval: calls alike need not be asked about while it holds.

    `pattern` says which calls those are, `facts` what must be as it was. People are kept by id and
    name, as in approvals. `agent_name` empty: of any agent; `requester_id` none: for anybody.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    approval = models.ForeignKey(
        Approval,
        null=True,
        on_delete=models.SET_NULL,
        related_name="grants",
        help_text="The one it was given with.",
    )
    tool = models.CharField(max_length=200)
    agent_name = models.CharField(max_length=63, blank=True)
    requester_id = models.UUIDField(null=True)
    requester_name = models.CharField(max_length=150, blank=True)
    rule = models.CharField(max_length=200, help_text="Of the policy, whose questions it answers.")
    pattern = models.JSONField(default=dict)
    facts = models.JSONField(default=dict)
    allow_self = models.BooleanField(default=False)
    allow_owner = models.BooleanField(default=True)
    granted_by_id = models.UUIDField()
    granted_by_name = models.CharField(max_length=150)
    reason = models.TextField(blank=True)
    surface = models.CharField(max_length=20, blank=True)
    uses = models.PositiveIntegerField(default=0)
    uses_max = models.PositiveIntegerField(null=True, help_text="None: as often as it holds.")
    state = models.CharField(
        max_length=12, choices=grant_state_choices, default=GrantState.ACTIVE.value
    )
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by_name = models.CharField(max_length=150, blank=True)
    ended_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(uses_max=None) | Q(uses__lte=models.F("uses_max")),
                name="grant_uses_within",
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="grant_newest"),
            # Which may answer a question, and which end by themselves.
            models.Index(
                fields=["workspace", "tool"], name="grant_active", condition=Q(state="active")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tool} by {self.granted_by_name}"


class GrantUse(models.Model):
    """One call that was not asked about; written in the transaction that claims it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    grant = models.ForeignKey(Grant, on_delete=models.CASCADE, related_name="used")
    subject_id = models.UUIDField(unique=True, help_text="The tool call.")
    run_id = models.UUIDField()
    agent_name = models.CharField(max_length=63, blank=True)
    requester_name = models.CharField(max_length=150, blank=True)
    arguments_digest = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.grant} {self.subject_id}"
