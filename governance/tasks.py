"""Celery tasks: thin, ids only, and safe to run twice."""

from celery import shared_task

from governance.execution import idempotency_purge


@shared_task(name="governance.purge", soft_time_limit=50, time_limit=60)
def purge() -> None:
    """Delete what is kept for a while only, once its time is over."""
    idempotency_purge()
