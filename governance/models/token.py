from django.conf import settings
from django.db import models

from core.ids import new_id
from governance.models.workspace import Workspace


class ApiToken(models.Model):
    """A credential of a program. Only the SHA-256 of the secret is stored.

    The secret is 256 random bits behind the prefix `agk_`, so an unsalted digest is enough and
    lets one indexed look-up find the row.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    workspace = models.ForeignKey(
        Workspace,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Narrows the token to one workspace; empty: all of its owner's.",
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(
        null=True, blank=True, help_text="Values of Perm; empty: all its owner may."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"
