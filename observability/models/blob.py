from django.db import models

from core.ids import new_id


class Blob(models.Model):
    """A payload too large for its row, stored once per workspace under its SHA-256."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace_id = models.UUIDField()
    digest = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    media_type = models.CharField(max_length=100, default="text/plain; charset=utf-8")
    content = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "digest"], name="blob_digest_once")
        ]

    def __str__(self) -> str:
        return self.digest[:12]
