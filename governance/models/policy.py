from django.conf import settings
from django.db import models
from django.db.models import Q

from core.ids import new_id
from governance.models.workspace import Workspace


class Policy(models.Model):
    """What a workspace is about to decide by: the draft that the next version is published from."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="+")
    draft = models.TextField(help_text="The permission matrix, as YAML.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"policy of {self.workspace}"


class PolicyVersion(models.Model):
    """One published policy; never changes. At most one of a workspace is in force.

    A workspace without one decides by the built-in rule.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    number = models.PositiveIntegerField()
    source = models.TextField(help_text="The permission matrix, as YAML.")
    digest = models.CharField(max_length=64, help_text="Of the source.")
    note = models.CharField(max_length=500, blank=True)
    is_active = models.BooleanField(default=True)
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "number"], name="policy_number_once"),
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(is_active=True), name="policy_one_active"
            ),
        ]

    def __str__(self) -> str:
        return f"policy {self.number} of {self.workspace}"
