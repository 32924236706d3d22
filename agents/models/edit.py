from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from agents.contracts import EditKind
from agents.models.run import Run


def edit_kind_choices() -> list[tuple[str, Any]]:
    return [(member.value, _(member.value)) for member in EditKind]


class RunEdit(models.Model):
    """What a person changed about a run while it stood still; only appended.

    The message or the call it is about stays as it was written; whoever reads the history puts the
    newest edit in its place. `sequence` is the checkpoint that the edit made: what is forked from
    an earlier one does not know of it. `before` and `after` are parts of a message, or arguments.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="edits", db_index=False)
    sequence = models.IntegerField()
    kind = models.CharField(max_length=10, choices=edit_kind_choices)
    position = models.IntegerField(help_text="Of the message it is about.")
    index = models.IntegerField(null=True, help_text="Of the call in that message.")
    before = models.JSONField(null=True)
    after = models.JSONField()
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    edited_by_name = models.CharField(max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("sequence",)
        constraints = [
            models.UniqueConstraint(fields=["run", "sequence"], name="run_edit_sequence_once")
        ]

    def __str__(self) -> str:
        return f"{self.run_id}@{self.sequence} {self.kind}"
