from django.conf import settings
from django.db import models

from core.ids import new_id
from governance.models.workspace import Workspace


class Secret(models.Model):
    """A credential of a workspace under the name that tools and providers ask for it by.

    The value is sealed for this workspace and this name, so it opens in no other row; no interface
    gives it back. `version` counts its values, and approvals hold for one of them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=500, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    sealed_value = models.BinaryField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+",
        editable=False,
    )  # fmt: skip
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="secret_name_once")
        ]

    def __str__(self) -> str:
        return self.name
