from django.db import models

from observability.models.txid import CurrentTransaction


class TraceEvent(models.Model):
    """One thing that happened in a run; append-only, already redacted.

    `sequence` is dense per run and assigned under the run's row lock, so its order is the order
    of commits. `(txid, id)` orders events of one workspace over all runs: `txid` is the writing
    transaction (PostgreSQL) or 0 (SQLite, one writer), filled in by the database. A reader takes
    only rows older than every transaction still open, so a late commit can never appear behind a
    cursor.
    The run is named by id, not by foreign key: traces know nothing of what is above them.
    """

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.UUIDField()
    run_id = models.UUIDField()
    sequence = models.BigIntegerField()
    txid = models.BigIntegerField(db_default=CurrentTransaction(), editable=False)
    kind = models.CharField(max_length=40)
    at = models.DateTimeField()
    payload = models.JSONField(default=dict)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["run_id", "sequence"], name="trace_event_sequence_once")
        ]
        indexes = [
            # The workspace stream: rows after a cursor, in commit order.
            models.Index(fields=["workspace_id", "txid", "id"], name="trace_event_stream"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}#{self.sequence} {self.kind}"
