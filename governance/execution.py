"""What workers do for governance: clear away what is kept for a while only."""

from core import clock
from governance.models import IdempotencyRecord


def idempotency_purge() -> int:
    """Delete idempotency records whose answers are no longer given again; return how many."""
    deleted, _ = IdempotencyRecord.objects.filter(expires_at__lte=clock.now()).delete()
    return deleted
