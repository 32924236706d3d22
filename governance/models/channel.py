from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.contracts import ChannelKind, DeliveryState
from governance.models.workspace import Workspace


def kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ChannelKind]


def state_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in DeliveryState]


class Channel(models.Model):
    """Where a workspace's news goes, and, where it can, where decisions come back from.

    One with an `owner` is that person's own: letters to their address, kept by nobody else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=10, choices=kind_choices)
    url = models.CharField(max_length=2000, blank=True, help_text="Where webhooks are sent to.")
    addresses = models.JSONField(
        default=list, blank=True, help_text="E-mail; none: those who may decide."
    )
    events = models.JSONField(default=list, help_text="What it is told of.")
    sealed_secret = models.BinaryField(null=True, editable=False)
    acts_as = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Whose decisions come in by webhook; none: none are taken.",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        editable=False,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="Whose letters these are; none: the workspace's channel.",
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="channel_name_once"),
            models.UniqueConstraint(
                fields=["workspace", "owner"],
                name="channel_owner_once",
                condition=Q(owner__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ChannelIdentity(models.Model):
    """Who somebody of a channel is here; without one, nobody."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="identities")
    external_id = models.CharField(max_length=100, help_text="Such as a Slack member id.")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )

    class Meta:
        verbose_name_plural = "channel identities"
        ordering = ("external_id",)
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="channel_identity_once")
        ]

    def __str__(self) -> str:
        return f"{self.external_id} is {self.user}"


class Delivery(models.Model):
    """One message on its way; its id is the webhook id, the same in every attempt.

    `event_key` and `recipient` name it, so that news told twice is sent once. Sent at least once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40)
    event_key = models.CharField(max_length=120)
    recipient = models.CharField(max_length=320, blank=True)
    payload = models.JSONField()
    state = models.CharField(
        max_length=10, choices=state_choices, default=DeliveryState.PENDING.value
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "event_key", "recipient"], name="delivery_once"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], name="delivery_due", condition=Q(state="pending")),
            models.Index(fields=["workspace", "-id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel}: {self.state}"
