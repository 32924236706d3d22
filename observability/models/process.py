from django.db import models

from core.ids import new_id


class Process(models.Model):
    """One server process, as it last reported itself: a web server or a worker.

    It belongs to the site, not to a workspace. `lag_seconds` is how late its event loops were at
    the last beat, `lag_p99_seconds` over the last minutes; both are empty where none is watched.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=20)
    host = models.CharField(max_length=200)
    pid = models.IntegerField()
    version = models.CharField(max_length=40, blank=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    lag_seconds = models.FloatField(null=True)
    lag_p99_seconds = models.FloatField(null=True)

    class Meta:
        default_permissions = ()
        ordering = ("kind", "host", "pid")

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


class SlowCallback(models.Model):
    """One callback that held an event loop up: places in code only, no values.

    `process_id` and `process` outlive the row of the process.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    process_id = models.UUIDField()
    process = models.CharField(max_length=240)
    at = models.DateTimeField(db_index=True)
    seconds = models.FloatField()
    where = models.CharField(max_length=300)
    stack = models.JSONField(default=list)

    class Meta:
        default_permissions = ()
        ordering = ("-at",)
        indexes = [models.Index(fields=["process_id", "at"], name="slow_callback_of_process")]

    def __str__(self) -> str:
        return f"{self.where} {self.seconds:.3f} s"
