from django.conf import settings
from django.db import models

from core.ids import new_id
from governance.models.workspace import Workspace


class Role(models.Model):
    """A named set of permissions. Built-in ones (no workspace) mirror the table in code."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    name = models.CharField(max_length=63)
    permissions = models.JSONField(default=list, help_text="Values of Perm, such as `run.view`.")

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], name="role_name_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One user in one workspace with the roles held there; the guardian rows are derived."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    roles = models.ManyToManyField(Role, blank=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="membership_once")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace}"
