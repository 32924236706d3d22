from django.db import models
from django.db.models import Q

from core.ids import new_id
from observability.contracts import ProfileState


class Profile(models.Model):
    """Where one process spent its time for some seconds, as somebody asked.

    A request is the row; the process it names sees it, samples itself and writes the outcome.
    `stacks` is gzip of collapsed stacks: `frame;frame;frame count`, one a line.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    process_id = models.UUIDField()
    process = models.CharField(max_length=240)
    state = models.CharField(max_length=20, default=ProfileState.REQUESTED.value)
    seconds = models.IntegerField()
    rate = models.IntegerField()
    with_idle = models.BooleanField(default=False)
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    samples = models.BigIntegerField(default=0)
    stacks = models.BinaryField(null=True)
    problem = models.TextField(blank=True)
    remedy = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        ordering = ("-requested_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["process_id"],
                condition=Q(state__in=("requested", "running")),
                name="profile_one_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.process} {self.seconds} s"
