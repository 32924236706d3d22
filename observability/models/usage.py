from django.db import models


class UsageHour(models.Model):
    """What one user's runs of one agent used of one model in one hour (UTC), in one workspace.

    Sums of `step.model` events, written by folding them once (observability.services.usage).
    `cost_usd` is what is known; calls without a known price are counted beside it with their
    tokens, so that a sum can say it is a floor. Agent, model and provider are the names they had;
    `user` is the id of who asked for the run, empty for nobody.
    """

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.UUIDField()
    hour = models.DateTimeField()
    agent = models.CharField(max_length=63, blank=True)
    model = models.CharField(max_length=200, blank=True)
    provider = models.CharField(max_length=63, blank=True)
    user = models.CharField(max_length=40, blank=True)
    calls = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=8, default=0)
    unknown_calls = models.BigIntegerField(default=0)
    unknown_input_tokens = models.BigIntegerField(default=0)
    unknown_output_tokens = models.BigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "hour", "agent", "model", "provider", "user"],
                name="usage_hour_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.agent} {self.model}"


class UsageCursor(models.Model):
    """How far the events of a workspace are summed: everything up to (txid, event), once."""

    workspace_id = models.UUIDField(primary_key=True)
    txid = models.BigIntegerField(default=0)
    event_id = models.BigIntegerField(default=0)
    folded_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.workspace_id}: {self.txid}.{self.event_id}"
