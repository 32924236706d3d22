from django.conf import settings
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from governance.models.workspace import Workspace


class Delegation(models.Model):
    """Somebody decides for somebody else while they are away.

    It lends what the absent person could decide, nothing that was lent to them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    delegator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Who is away.",
    )
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        help_text="Who decides for them.",
    )
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    created_by_name = models.CharField(max_length=150)
    ended_at = models.DateTimeField(null=True, help_text="When it was ended before its time.")
    ended_by_name = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=Q(until_at__gt=F("from_at")), name="delegation_has_time"
            ),
            models.CheckConstraint(
                condition=~Q(delegator=F("delegate")), name="delegation_to_another"
            ),
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="delegation_newest"),
            models.Index(fields=["delegate", "workspace"], name="delegation_to"),
        ]

    def __str__(self) -> str:
        return f"{self.delegate} for {self.delegator}"
