from django.db import models

from governance.models import Workspace


class WorkspaceHead(models.Model):
    """What the files of a root run and everything below it were when a call last changed them.

    Written in the commit that records that call's outcome; calls that change files take turns, so
    there is one line of heads for each root run.
    """

    root_id = models.UUIDField(primary_key=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.root_id} {self.digest[:12]}"
