from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.contracts import ApprovalKind, ApprovalState, Verdict
from governance.models.workspace import Workspace


def kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ApprovalKind]


def state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ApprovalState]


def verdict_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in Verdict]


class Approval(models.Model):
    """A question to a person, bound to exactly what is asked for.

    Written by the journal together with what waits for it. `binding` are the facts a yes is about
    and `binding_digest` their digest; both change only when an approver edits the arguments or
    when time is given anew. People are kept by id and name, so that a deleted account neither
    takes its decisions along nor stands in the way of a question.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=20, choices=kind_choices)
    subject_id = models.UUIDField(help_text="What it is about, such as a tool call.")
    run_id = models.UUIDField(null=True)
    agent_name = models.CharField(max_length=63, blank=True)
    requester_id = models.UUIDField(null=True)
    requester_name = models.CharField(max_length=150, blank=True)
    title = models.CharField(max_length=300)
    question = models.TextField(blank=True, help_text="Why a person is asked.")
    state = models.CharField(
        max_length=12, choices=state_choices, default=ApprovalState.PENDING.value
    )
    binding = models.JSONField(default=dict)
    binding_digest = models.CharField(max_length=64)
    arguments = models.JSONField(null=True, help_text="As they were asked for; redacted.")
    edited_arguments = models.JSONField(null=True, help_text="Put in their place by an approver.")
    approvers = models.JSONField(
        default=list, help_text="user:, group: or role: and a name; none: whoever may decide."
    )
    quorum = models.PositiveSmallIntegerField(default=1)
    allow_self = models.BooleanField(default=False)
    owner_id = models.UUIDField(null=True, help_text="Who wrote the version of the agent.")
    allow_owner = models.BooleanField(default=True)
    tool = models.CharField(max_length=200, blank=True)
    effect = models.CharField(max_length=20, blank=True)
    is_privileged = models.BooleanField(default=False)
    is_grantable = models.BooleanField(
        default=False, help_text="A yes may be given to calls alike too."
    )
    evidence = models.JSONField(
        default=dict, help_text="What the call would change, as its tool found out beforehand."
    )
    choices = models.JSONField(
        default=list, help_text="What can be answered, where that is not yes or no."
    )
    choice = models.CharField(max_length=40, blank=True, help_text="Which of them was taken.")
    rule = models.CharField(max_length=200, blank=True, help_text="Of the policy that asks.")
    policy_version = models.CharField(max_length=100, blank=True)
    expires_seconds = models.FloatField(null=True)
    expires_at = models.DateTimeField(null=True)
    on_expiry = models.CharField(max_length=20, blank=True)
    escalate_to = models.JSONField(default=list)
    escalations = models.PositiveSmallIntegerField(
        default=0, help_text="How often others were asked because nobody decided."
    )
    warned_at = models.DateTimeField(
        null=True, help_text="When somebody was told that its time is nearly over."
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by_id = models.UUIDField(null=True)
    decided_by_name = models.CharField(max_length=150, blank=True)
    reason = models.TextField(blank=True, help_text="Of the decision; the model is told.")
    surface = models.CharField(max_length=20, blank=True, help_text="Where it was decided.")
    used_at = models.DateTimeField(null=True, help_text="When what was approved was begun.")

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_id"],
                condition=Q(state="pending"),
                name="approval_one_pending",
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="approval_newest"),
            # What was said of calls like this one.
            models.Index(fields=["workspace", "tool", "-id"], name="approval_of_tool"),
            # What was decided lately.
            models.Index(fields=["workspace", "-decided_at"], name="approval_decided"),
            # The inbox.
            models.Index(
                fields=["workspace", "expires_at"],
                name="approval_pending",
                condition=Q(state="pending"),
            ),
            # Sweeping: what nobody decided in time.
            models.Index(fields=["expires_at"], name="approval_due", condition=Q(state="pending")),
            # Withdrawing: what a run that ends leaves open.
            models.Index(fields=["run_id"], name="approval_of_run", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.state}"

    @property
    def current_arguments(self) -> Any:
        """What a yes would let happen now: as it was asked, or as an approver has changed it."""
        return self.arguments if self.edited_arguments is None else self.edited_arguments


class ApprovalVote(models.Model):
    """What one person said. A vote counts for the binding it was given for (`digest`).

    `for_user` is in whose place it was said, where that is somebody else; then it is theirs.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    approval = models.ForeignKey(Approval, on_delete=models.CASCADE, related_name="votes")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    for_user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
    )
    verdict = models.CharField(max_length=10, choices=verdict_choices)
    digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    surface = models.CharField(max_length=20, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=["approval", "user"], name="approval_vote_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} {self.verdict}"
