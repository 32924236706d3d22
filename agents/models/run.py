from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, When
from django.utils.translation import gettext_lazy as _

from agents.contracts import Control, RunKind, RunState
from agents.models.agent import Agent, AgentVersion
from agents.models.session import Session
from core.ids import new_id
from governance.models import Workspace
from plugins.contracts import WaitKind


def state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in RunState]


def kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in RunKind]


def wait_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value) if member.value else "—") for member in WaitKind]


def control_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value) if member.value else "—") for member in Control]


class RunSnapshot(models.Model):
    """What a run was started with, once for all runs that share it; named by its digest.

    Holds the rendered agent specification, the model chain and the tool specifications with their
    digests, so that nothing published later changes a run that has begun.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    content = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.digest[:12]


class Run(models.Model):
    """One piece of durable work.

    Foreign keys that no query filters by have no index: every index is written again by each
    update that moves the row to another page, and the owner updates its run with every step.

    Invariants: `state` moves only along the transition table, by conditional update; every write
    of a worker names `fence`, which grows with each claim; `head_sequence` is the number of trace
    events written; at most one run of a session is active (the constraint below).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=10, choices=kind_choices, default=RunKind.AGENT.value)
    agent = models.ForeignKey(Agent, null=True, on_delete=models.SET_NULL, related_name="+")
    agent_name = models.CharField(max_length=63)
    version = models.ForeignKey(
        AgentVersion, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    snapshot = models.ForeignKey(
        RunSnapshot, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    session = models.ForeignKey(
        Session, null=True, blank=True, on_delete=models.CASCADE, related_name="runs"
    )
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    parent_call_id = models.UUIDField(null=True)
    root_id = models.UUIDField()
    depth = models.PositiveSmallIntegerField(default=0)

    state = models.CharField(max_length=12, choices=state_choices, default=RunState.QUEUED.value)
    wait_kind = models.CharField(max_length=12, choices=wait_choices, default="", blank=True)
    wake_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="Why it is in this state, for people.")
    error_code = models.CharField(max_length=60, blank=True)
    control = models.CharField(max_length=10, choices=control_choices, default="", blank=True)
    control_by = models.CharField(max_length=150, blank=True)

    debug = models.JSONField(null=True, help_text="Step mode and breakpoints; null without.")
    debug_passed = models.JSONField(null=True, help_text="What a person has let go.")
    debug_version = models.IntegerField(default=0, help_text="Grows with each change by a person.")

    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    worker_id = models.UUIDField(null=True)
    commit_id = models.UUIDField(null=True, help_text="The owner's last group commit.")
    crashes = models.PositiveSmallIntegerField(default=0)
    priority = models.SmallIntegerField(default=0)
    available_at = models.DateTimeField()

    input = models.TextField(blank=True)
    output = models.TextField(blank=True)
    limits = models.JSONField(default=dict)
    deadline_at = models.DateTimeField(null=True)

    head_sequence = models.BigIntegerField(default=0)
    message_count = models.IntegerField(default=0)
    iteration = models.IntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=16, decimal_places=8, default=0)
    cost_is_partial = models.BooleanField(
        default=False, help_text="Some calls had no known price; the cost is a floor."
    )

    prefix_run = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="forks"
    )
    prefix_length = models.IntegerField(default=0)
    forked_from_sequence = models.IntegerField(null=True)
    replay_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="replays",
        db_index=False,
    )
    is_rolled_back = models.BooleanField(default=False)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    surface = models.CharField(max_length=20, blank=True, help_text="Where it was asked for.")
    client = models.CharField(
        max_length=20, blank=True, help_text="With what, as the request itself says; never proven."
    )
    idempotency_key = models.CharField(max_length=200, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)
    trace_parent = models.CharField(
        max_length=55, blank=True, help_text="The traceparent of the request or call it began in."
    )

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()
    # What lists find runs by their cost with. It changes once, at the end: an index on the cost
    # itself would be written with every step.
    ended_cost_usd = models.GeneratedField(
        expression=Case(When(finished_at__isnull=False, then=F("cost_usd"))),
        output_field=models.DecimalField(max_digits=16, decimal_places=8, null=True),
        db_persist=True,
    )

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(state__in=["queued", "running", "waiting", "paused", "yielded"])
                & ~Q(wait_kind="turn"),
                name="run_one_active_per_session",
            ),
            models.UniqueConstraint(
                fields=["workspace", "requested_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="run_idempotency_key_once",
            ),
            models.UniqueConstraint(
                fields=["parent_call_id"],
                condition=Q(parent_call_id__isnull=False),
                name="run_one_child_per_call",
            ),
        ]
        indexes = [
            # Claiming: what may start now, best first.
            models.Index(
                fields=["-priority", "available_at"],
                name="run_claimable",
                condition=Q(state="queued"),
            ),
            # Sweeping: leases that ran out.
            models.Index(fields=["lease_until"], name="run_leased", condition=Q(state="running")),
            # Sweeping: timers that are due, parents whose children ended.
            models.Index(
                fields=["wait_kind", "wake_at"], name="run_waiting", condition=Q(state="waiting")
            ),
            # Bounding: how many runs a run has brought about. Roots have no entry.
            models.Index(fields=["root_id"], name="run_below", condition=Q(depth__gt=0)),
            # Lists: newest first in a workspace, by state.
            models.Index(fields=["workspace", "-id"], name="run_newest"),
            models.Index(fields=["workspace", "state", "-id"], name="run_by_state"),
            # Lists: what a person asked for, what came by one way. Neither changes with a step.
            models.Index(fields=["requested_by", "-id"], name="run_by_person"),
            models.Index(fields=["surface", "-id"], name="run_by_surface"),
            # Lists: what ended, by its cost; what went wrong, by its code.
            models.Index(
                fields=["ended_cost_usd", "id"],
                name="run_by_cost",
                condition=Q(ended_cost_usd__isnull=False),
            ),
            models.Index(
                fields=["error_code", "-id"], name="run_by_error", condition=~Q(error_code="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_name} {self.id}"
