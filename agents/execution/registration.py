"""A worker's own row: how anybody can know which engines are alive."""

import os
import socket
from datetime import datetime
from uuid import UUID

from agents.models import Worker
from core import clock


def worker_seen(
    *,
    worker_id: UUID,
    name: str,
    capacity: int,
    running: int,
    is_draining: bool,
    started_at: datetime,
) -> None:
    """Report this worker as alive."""
    Worker.objects.update_or_create(
        pk=worker_id,
        defaults={
            "name": name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "capacity": capacity,
            "running": running,
            "is_draining": is_draining,
            "started_at": started_at,
            "seen_at": clock.now(),
        },
    )


def worker_gone(worker_id: UUID) -> None:
    """Take the row of a worker that stopped in order."""
    Worker.objects.filter(pk=worker_id).delete()
