from django.contrib.auth.models import AbstractUser
from django.db import models

from core.ids import new_id


class User(AbstractUser):
    """A person or a service account. Without a membership it may do nothing."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(blank=True)
    is_service = models.BooleanField(
        default=False, help_text="A program, not a person: signs in by token only."
    )
