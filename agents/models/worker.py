from django.db import models

from core.ids import new_id


class Worker(models.Model):
    """One engine process, as it last reported itself, and whether somebody asked it to drain.

    The process writes what it is and reads what it is asked: two columns that it never writes.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    host = models.CharField(max_length=200)
    pid = models.IntegerField()
    version = models.CharField(max_length=40, blank=True)
    capacity = models.IntegerField()
    running = models.IntegerField(default=0)
    ended_lately = models.IntegerField(
        default=0, help_text="Runs it ended in the last five minutes."
    )
    is_draining = models.BooleanField(default=False)
    drain_asked_at = models.DateTimeField(null=True, blank=True)
    drain_asked_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-seen_at",)

    def __str__(self) -> str:
        return self.name
