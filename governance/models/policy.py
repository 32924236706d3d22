from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from core.ids import new_id
from governance.models.workspace import Workspace
from governance.policy.sources import PolicyLanguage


def language_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in PolicyLanguage]


class Policy(models.Model):
    """What a workspace is about to decide by: the draft that the next version is published from."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="+")
    draft = models.TextField(help_text="A permission matrix as YAML, or a Rego module.")
    language = models.CharField(
        max_length=10, choices=language_choices, default=PolicyLanguage.MATRIX.value
    )
    cases = models.TextField(
        blank=True, help_text="Calls and what is expected of them, as YAML; run before publishing."
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"policy of {self.workspace}"


class PolicyVersion(models.Model):
    """One published policy; its text never changes. At most one of a workspace is in force.

    A workspace without one decides by the built-in rule. At most one is asked as a shadow: beside
    what decides, deciding nothing, with counts of what it was asked about and said otherwise.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    number = models.PositiveIntegerField()
    source = models.TextField(help_text="A permission matrix as YAML, or a Rego module.")
    language = models.CharField(
        max_length=10, choices=language_choices, default=PolicyLanguage.MATRIX.value
    )
    cases = models.TextField(blank=True, help_text="The test cases it was published with.")
    failing_cases = models.PositiveIntegerField(
        default=0, help_text="Cases that failed when it was published all the same."
    )
    digest = models.CharField(max_length=64, help_text="Of the source.")
    note = models.CharField(max_length=500, blank=True)
    is_active = models.BooleanField(default=True)
    is_shadow = models.BooleanField(default=False)
    shadow_asked = models.PositiveBigIntegerField(
        default=0, help_text="Calls it was asked about as a shadow."
    )
    shadow_differing = models.PositiveBigIntegerField(
        default=0, help_text="Of these, answered otherwise than what decided."
    )
    shadow_skipped = models.PositiveBigIntegerField(
        default=0, help_text="Calls it was not asked about, because it was too slow."
    )
    published_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = [
            models.UniqueConstraint(fields=["workspace", "number"], name="policy_number_once"),
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(is_active=True), name="policy_one_active"
            ),
            models.UniqueConstraint(
                fields=["workspace"], condition=Q(is_shadow=True), name="policy_one_shadow"
            ),
        ]

    def __str__(self) -> str:
        return f"policy {self.number} of {self.workspace}"


class PolicyDifference(models.Model):
    """A call that a shadow would have decided otherwise. The answers are for reading only."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    version = models.ForeignKey(
        PolicyVersion, on_delete=models.CASCADE, related_name="+", help_text="The shadow."
    )
    call_id = models.UUIDField()
    run_id = models.UUIDField()
    tool = models.CharField(max_length=200)
    decided_by = models.CharField(max_length=200, help_text="The version of what decided.")
    effect = models.CharField(max_length=10, help_text="What was decided.")
    rule = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    shadow_effect = models.CharField(max_length=10, help_text="What the shadow says.")
    shadow_rule = models.CharField(max_length=200)
    shadow_reason = models.TextField(blank=True)
    is_abnormal = models.BooleanField(
        default=False, help_text="The shadow gave no usable answer, and would have denied."
    )
    at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(fields=["version", "call_id"], name="policy_difference_once"),
        ]
        indexes = [models.Index(fields=["workspace", "-id"], name="policy_difference_list")]

    def __str__(self) -> str:
        return f"{self.tool}: {self.effect}, shadow {self.shadow_effect}"
