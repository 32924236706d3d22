"""Celery tasks: thin, ids only, and safe to run twice."""

from celery import shared_task

from governance.execution import checkpoints_write_due, idempotency_purge


@shared_task(name="governance.purge", soft_time_limit=50, time_limit=60)
def purge() -> None:
    """Delete what is kept for a while only, once its time is over."""
    idempotency_purge()


@shared_task(name="governance.checkpoint", soft_time_limit=50, time_limit=60)
def checkpoint() -> None:
    """Sign the audit chains that are due."""
    checkpoints_write_due()
