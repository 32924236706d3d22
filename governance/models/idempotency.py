from django.db import models

from core.ids import new_id


class IdempotencyRecord(models.Model):
    """One use of an Idempotency-Key: claimed while the request runs, answered afterwards.

    `principal` is the token or the user behind the request, so a narrower token never replays what
    a wider one was shown. `claim_id` changes when a claim is taken over; only its holder settles.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    principal = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    claim_id = models.UUIDField()
    claimed_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["principal", "key"], name="idempotency_key_once")
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.principal}"
