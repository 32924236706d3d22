"""A worker's own row: how anybody can know which engines are alive."""

import os
import socket
from datetime import datetime
from uuid import UUID

from agents.models import Worker
from agents.transitions import leases_end
from core import clock
from core.process import installed_version


def worker_seen(
    *,
    worker_id: UUID,
    name: str,
    capacity: int,
    running: int,
    ended_lately: int = 0,
    is_draining: bool,
    is_asked_to_drain: bool = False,
    started_at: datetime,
) -> None:
    """Report this worker as alive. A row that somebody took away is made again, with what the
    worker was asked."""
    row = {
        "name": name,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "version": installed_version(),
        "capacity": capacity,
        "running": running,
        "ended_lately": ended_lately,
        "is_draining": is_draining,
        "started_at": started_at,
        "seen_at": clock.now(),
    }
    asked = {"drain_asked_at": clock.now()} if is_asked_to_drain else {}
    Worker.objects.update_or_create(pk=worker_id, defaults=row, create_defaults=row | asked)


def drain_asked(worker_id: UUID) -> bool | None:
    """Say whether somebody asked this worker to drain; None: its row is gone, and says nothing."""
    row = Worker.objects.filter(pk=worker_id).values_list("drain_asked_at").first()
    return None if row is None else row[0] is not None


def workers_bury() -> int:
    """End the leases of workers of this machine whose process is gone; returns how many.

    A worker that was killed and started again need not wait for its leases to run out. A process
    number that was given to somebody else means waiting, as for a worker of another machine.
    """
    buried = 0
    for worker in Worker.objects.filter(host=socket.gethostname()):
        if worker.pid != os.getpid() and _is_alive(worker.pid):
            continue
        leases_end(worker.pk)
        worker.delete()
        buried += 1
    return buried


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def worker_gone(worker_id: UUID) -> None:
    """Take the row of a worker that stopped in order."""
    Worker.objects.filter(pk=worker_id).delete()
