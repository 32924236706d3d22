from django.db import models

from agents.models.run import Run


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages; one that a person changed is read with the parts its model sees, where the query
    was annotated with them as `edited_parts`."""

    def _fetch_all(self) -> None:
        super()._fetch_all()
        if "edited_parts" in self.query.annotations:
            for row in self._result_cache or ():
                edited = getattr(row, "edited_parts", None)
                if edited is not None:
                    row.parts = edited


class Message(models.Model):
    """One entry of a run's history, append-only; `parts` in the GenAI JSON shape, redacted.

    Named by run and position; the surrogate key is the database's own, because a key made here
    would cost more than the rest of the insert. Positions count over the whole history a model
    sees: a fork's own messages begin where its prefix ends.
    """

    id = models.BigAutoField(primary_key=True)
    # No constraint in the database: rows are only ever written under the run's fence, and the
    # check per row costs more than the insert.
    run = models.ForeignKey(
        Run, on_delete=models.CASCADE, related_name="messages", db_constraint=False, db_index=False
    )
    position = models.IntegerField()
    role = models.CharField(max_length=20)
    parts = models.JSONField()
    created_at = models.DateTimeField()

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("position",)
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="message_position_once")
        ]

    def __str__(self) -> str:
        return f"{self.run_id}[{self.position}] {self.role}"


class Checkpoint(models.Model):
    """A point a run can be resumed or forked from: engine state that messages do not tell.

    `sequence` is dense per run; `message_count` says how much of the history belongs to it.
    `workspace_digest` names the snapshot of the files: empty where no call could have changed any,
    and beginning with `unkept-` where they could not be kept.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        related_name="checkpoints",
        db_constraint=False,
        db_index=False,
    )
    sequence = models.IntegerField()
    message_count = models.IntegerField()
    state = models.JSONField()
    workspace_digest = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("sequence",)
        constraints = [
            models.UniqueConstraint(fields=["run", "sequence"], name="checkpoint_sequence_once")
        ]

    def __str__(self) -> str:
        return f"{self.run_id}@{self.sequence}"
