from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.contracts import ProviderKind
from core.ids import new_id
from governance.models import Workspace


def kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in ProviderKind]


class Provider(models.Model):
    """Where completions come from: a vendor, a local server, or a script.

    The key is either sealed in this row (readable only in this workspace) or named as an
    environment variable from the allowed list; it is never returned by any interface.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=63)
    kind = models.CharField(max_length=20, choices=kind_choices)
    base_url = models.CharField(max_length=500, blank=True)
    key_env = models.CharField(max_length=100, blank=True)
    sealed_key = models.BinaryField(null=True, editable=False)
    script = models.TextField(blank=True, help_text="YAML; for the scripted kind.")
    max_concurrency = models.PositiveIntegerField(default=64)
    max_retries = models.PositiveIntegerField(default=2)
    timeout_seconds = models.FloatField(default=120)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="provider_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class Model(models.Model):
    """A model of a provider under a name that agents use, with the price to count by.

    Prices are dollars per million tokens and override every price list; empty ones are looked
    up there. A price found nowhere is unknown, never zero.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="models")
    vendor_name = models.CharField(max_length=200, help_text="What the vendor calls it.")
    options = models.JSONField(default=dict, blank=True)
    fallback = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Asked when this one cannot answer for now.",
    )  # fmt: skip
    input_price_usd = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    output_price_usd = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    cache_read_price_usd = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True
    )
    cache_write_price_usd = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, blank=True
    )
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="model_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class ModelRoute(models.Model):
    """Picks the model for a run whose agent names none: the first route, by priority, whose
    words are found in the input (an empty word is found everywhere)."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    priority = models.IntegerField(default=100, help_text="Lower is asked first.")
    if_contains = models.JSONField(default=list)
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering = ("priority", "id")

    def __str__(self) -> str:
        words = ", ".join(word for word in self.if_contains if word) or "anything"
        return f"{self.priority}: {words} → {self.model}"
