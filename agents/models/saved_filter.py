from django.conf import settings
from django.db import models

from core.ids import new_id
from governance.models import Workspace


class SavedFilter(models.Model):
    """A question about runs that somebody asks again: its owner's, or everybody's of a workspace.

    `query` is the list's own address after the question mark. What it shows is decided anew for
    whoever opens it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    name = models.CharField(max_length=63)
    query = models.CharField(max_length=2000, blank=True)
    is_shared = models.BooleanField(
        default=False, help_text="Everybody who sees runs of the workspace finds it in the list."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "workspace", "name"], name="saved_filter_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name
