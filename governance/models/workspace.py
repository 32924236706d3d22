import re

from django.core.validators import RegexValidator
from django.db import models

from core.ids import new_id
from governance.contracts import Perm

NAME_REGEX = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
NAME_PATTERN = RegexValidator(
    NAME_REGEX,
    "Use 1 to 63 lower-case letters, digits and inner hyphens.",
)


class Workspace(models.Model):
    """A tenant. Every row that belongs to somebody names one; nothing is shared between two."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=63, unique=True, validators=[NAME_PATTERN])
    title = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Another one whenever a sealed value of the workspace is written.
    secrets_stamp = models.UUIDField(default=new_id, editable=False)

    class Meta:
        ordering = ("name",)
        default_permissions = ()
        permissions = [(perm.codename, perm.value) for perm in Perm]

    def __str__(self) -> str:
        return self.name
