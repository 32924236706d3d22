"""Celery tasks: thin, ids only, and safe to run twice."""

from celery import shared_task

from core import clock
from governance.execution import (
    checkpoints_write_due,
    idempotency_purge,
    reservations_purge,
)
from governance.execution.delivering import BATCH, deliveries_send
from governance.execution.telling import deliveries_missed


@shared_task(name="governance.purge", soft_time_limit=50, time_limit=60)
def purge() -> None:
    """Delete what is kept for a while only, once its time is over."""
    idempotency_purge()
    reservations_purge()


@shared_task(name="governance.checkpoint", soft_time_limit=50, time_limit=60)
def checkpoint() -> None:
    """Sign the audit chains that are due."""
    checkpoints_write_due()


@shared_task(name="governance.deliver", soft_time_limit=100, time_limit=110)
def deliver() -> None:
    """Send messages that are due, until none is or the time for a task is nearly over."""
    deadline = clock.monotonic() + 45
    while deliveries_send() == BATCH and clock.monotonic() < deadline:
        continue


@shared_task(name="governance.news", soft_time_limit=50, time_limit=60)
def news() -> None:
    """Write down messages that no process told of."""
    deliveries_missed()
