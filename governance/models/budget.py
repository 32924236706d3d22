from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.budgets import Figures
from governance.contracts import BudgetKind, BudgetPeriod, ReservationState
from governance.models.workspace import NAME_PATTERN, Workspace


def budget_kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in BudgetKind]


def budget_period_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in BudgetPeriod]


def reservation_state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ReservationState]


class Budget(models.Model):
    """How much may be spent in a period by a workspace, by one of its agents or by somebody.

    Everything but the limit, the switch and the note is fixed: what was counted is counted for
    whom and for how long it says.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=63, validators=[NAME_PATTERN])
    kind = models.CharField(
        max_length=12, choices=budget_kind_choices, help_text="Whose spending it bounds."
    )
    agent_name = models.CharField(max_length=63, blank=True, help_text="Of a budget for an agent.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Of a budget for somebody.",
    )
    period = models.CharField(
        max_length=8, choices=budget_period_choices, default=BudgetPeriod.MONTH.value
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Where its days begin, such as Europe/Prague."
    )
    limit_usd = models.DecimalField(
        max_digits=16, decimal_places=8, help_text="Dollars that may be spent in one period."
    )
    is_enabled = models.BooleanField(default=True)
    note = models.TextField(blank=True, max_length=2000)
    created_by_name = models.CharField(max_length=150, blank=True)
    changed_by_name = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="budget_name_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def whose(self) -> str:
        """Say whose spending it bounds, for people."""
        if self.kind == BudgetKind.AGENT.value:
            return f"agent {self.agent_name}"
        if self.kind == BudgetKind.USER.value:
            return f"user {self.user}"
        return "workspace"


class BudgetAccount(models.Model):
    """What is reserved and spent against one limit: of a budget in one period, or of a run with
    all it delegates.

    Invariant: an amount is reserved only where reserved, spent and the amount stay within the
    limit, by one conditional update. `limit_usd` none: the limit was taken away.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    budget = models.ForeignKey(
        Budget, null=True, on_delete=models.CASCADE, related_name="accounts", db_index=False
    )
    run_id = models.UUIDField(null=True, unique=True)
    root_id = models.UUIDField(null=True)
    agent_name = models.CharField(max_length=63, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    limit_usd = models.DecimalField(max_digits=16, decimal_places=8, null=True)
    reserved_usd = models.DecimalField(max_digits=16, decimal_places=8, default=0)
    spent_usd = models.DecimalField(max_digits=16, decimal_places=8, default=0)
    told_percent = models.PositiveSmallIntegerField(
        default=0, help_text="Up to which mark people were told what is spent."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["budget", "starts_at"], name="account_of_period_once"),
            models.CheckConstraint(condition=Q(reserved_usd__gte=0), name="account_reserved"),
        ]
        indexes = [
            # Whether a run below has somebody above with a limit.
            models.Index(
                fields=["root_id"], name="account_of_root", condition=Q(root_id__isnull=False)
            ),
            models.Index(fields=["workspace", "-id"], name="account_newest"),
        ]

    def __str__(self) -> str:
        return str(self.budget) if self.budget_id else f"run {self.run_id}"

    @property
    def figures(self) -> Figures:
        return Figures(
            limit_usd=self.limit_usd, spent_usd=self.spent_usd, reserved_usd=self.reserved_usd
        )


class Reservation(models.Model):
    """Money set aside for one model call: the one at `place` of its run.

    Asked again, the call has the same row. `fence` is of the claim that reserved: once the run is
    claimed anew, or at rest, nobody will settle it any more and a sweep gives the money back.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    run_id = models.UUIDField()
    place = models.PositiveIntegerField(help_text="Which model call of its run, from 0.")
    fence = models.BigIntegerField()
    model_name = models.CharField(max_length=200, blank=True)
    accounts = models.JSONField(default=list, help_text="Ids of what it counts against.")
    reserved_usd = models.DecimalField(max_digits=16, decimal_places=8)
    charged_usd = models.DecimalField(max_digits=16, decimal_places=8, null=True)
    state = models.CharField(
        max_length=10, choices=reservation_state_choices, default=ReservationState.RESERVED.value
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["run_id", "place"], name="reservation_of_call_once"),
        ]
        indexes = [
            # Sweeping: what nobody may settle any more.
            models.Index(
                fields=["created_at"], name="reservation_open", condition=Q(state="reserved")
            ),
            models.Index(fields=["workspace", "-id"], name="reservation_newest"),
        ]

    def __str__(self) -> str:
        return f"call {self.place} of {self.run_id}: {self.state}"
