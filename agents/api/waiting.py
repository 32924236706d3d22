"""Holding an answer until a run has ended: for requests that do not come by the lean lane.

Looks at the row, a few times at first and twice a second later; holds no transaction in between.
Each one that waits keeps one of the server's few places for requests, so only some may: the others
are answered at once with the run as it is.
"""

import threading
import time
from uuid import UUID

from django.conf import settings

from agents.models import Run
from agents.transitions import TERMINAL
from core import clock

_FIRST_SECONDS = 0.02
_LAST_SECONDS = 0.5

_seats = threading.BoundedSemaphore(max(1, settings.REQUEST_SLOTS // 2))


def run_wait(run_id: UUID, seconds: float) -> bool:
    """Wait until the run has ended, at most so long; say whether it has.

    Looks only once when as many wait already as may.
    """
    if not _seats.acquire(blocking=False):
        return _waited(run_id, 0.0)
    try:
        return _waited(run_id, seconds)
    finally:
        _seats.release()


def _waited(run_id: UUID, seconds: float) -> bool:
    until = clock.monotonic() + seconds
    pause = _FIRST_SECONDS
    while True:
        state = Run.objects.filter(pk=run_id).values_list("state", flat=True).first()
        left = until - clock.monotonic()
        if state is None or state in TERMINAL:
            return True
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LAST_SECONDS)
