"""Idempotency records end: a sweep deletes those whose answers are no longer replayed."""

from core import clock
from governance.models import IdempotencyRecord


def idempotency_purge() -> int:
    """Delete expired records; return how many. A sweep calls it now and then."""
    deleted, _ = IdempotencyRecord.objects.filter(expires_at__lte=clock.now()).delete()
    return deleted
