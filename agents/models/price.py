from django.db import models
from django.db.models import Q

from core.ids import new_id


class PriceList(models.Model):
    """One import of a price list: where it came from, and what it changed. The site's."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    source = models.CharField(max_length=40, help_text="Whose list: models.dev or genai-prices.")
    title = models.CharField(max_length=200, help_text="The file's name, or the version.")
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was read.")
    imported_at = models.DateTimeField()
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    ended = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(
        default=0, help_text="Entries without a price for input and output tokens."
    )

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.source}, {self.title}"


class ModelPrice(models.Model):
    """What a list said a model costs, from one import until another; never changed in place.

    Dollars per million tokens. The row without `valid_until` is in force; the others explain what
    was counted then. `tiers` is the form of agents.contracts.PriceTier.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    price_list = models.ForeignKey(PriceList, on_delete=models.PROTECT, related_name="prices")
    source = models.CharField(max_length=40)
    provider = models.CharField(max_length=80, help_text="What the list calls the vendor.")
    host = models.CharField(max_length=200, blank=True, help_text="The vendor's address.")
    vendor_name = models.CharField(max_length=200, help_text="What the vendor calls the model.")
    input_usd = models.DecimalField(max_digits=20, decimal_places=10)
    output_usd = models.DecimalField(max_digits=20, decimal_places=10)
    cache_read_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cache_write_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    reasoning_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    tiers = models.JSONField(default=list)
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ("source", "provider", "vendor_name", "-valid_from")
        constraints = [
            models.UniqueConstraint(
                fields=["source", "provider", "vendor_name"],
                condition=Q(valid_until__isnull=True),
                name="model_price_one_in_force",
            )
        ]
        indexes = [
            # Pinning a run: what is in force under the names a model may be listed as.
            models.Index(
                fields=["vendor_name"],
                name="model_price_in_force",
                condition=Q(valid_until__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.provider}/{self.vendor_name}"
