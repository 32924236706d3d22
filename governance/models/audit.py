from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.contracts import AuditAction
from governance.models.workspace import Workspace


def action_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in AuditAction]


def _workspace(**options: Any) -> Any:
    """Point at the workspace a chain belongs to, and outlive it; none: the site's own chain."""
    return models.ForeignKey(
        Workspace,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        **options,
    )


class AuditHead(models.Model):
    """The end of one audit chain, and the lock that appends to it take one after the other.

    `chain` is the workspace's id; all zeros is the site's own chain.
    """

    chain = models.UUIDField(primary_key=True)
    sequence = models.PositiveBigIntegerField(default=0)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(null=True)
    signed_sequence = models.PositiveBigIntegerField(default=0)
    unsigned_since = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.chain} at {self.sequence}"


class AuditEntry(models.Model):
    """One thing that happened, chained to the one before it by its hash; never changed or deleted.

    Names and ids are kept as they were, without foreign keys: an entry outlives what it tells of.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = _workspace()
    sequence = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_name = models.CharField(max_length=150, blank=True)
    actor_id = models.UUIDField(null=True)
    token_id = models.UUIDField(null=True)
    action = models.CharField(max_length=40, choices=action_choices)
    subject_kind = models.CharField(max_length=40)
    subject_id = models.CharField(max_length=100, blank=True)
    subject_label = models.CharField(max_length=200, blank=True)
    payload = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("-sequence",)
        verbose_name_plural = "audit entries"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "sequence"], name="audit_sequence_once"),
            models.UniqueConstraint(
                fields=["sequence"],
                condition=Q(workspace__isnull=True),
                name="audit_site_sequence_once",
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "at"], name="audit_by_time"),
            # Evidence: what was recorded of one run, call or approval.
            models.Index(fields=["workspace", "subject_id"], name="audit_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action} {self.subject_label or self.subject_kind}"


class AuditCheckpoint(models.Model):
    """The site's signature under a chain as it was at one entry; never changed or deleted."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = _workspace()
    sequence = models.PositiveBigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    key_id = models.CharField(max_length=16)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ("-sequence",)
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "sequence"], name="audit_checkpoint_sequence_once"
            ),
            models.UniqueConstraint(
                fields=["sequence"],
                condition=Q(workspace__isnull=True),
                name="audit_checkpoint_site_sequence_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.hash[:12]}"
