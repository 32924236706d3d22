"""Holding an answer until a run has ended: for requests that do not come by the lean lane.

Looks at the row, a few times at first and twice a second later; holds no transaction in between.
"""

import time
from uuid import UUID

from agents.models import Run
from agents.transitions import TERMINAL
from core import clock

_FIRST_SECONDS = 0.02
_LAST_SECONDS = 0.5


def run_wait(run_id: UUID, seconds: float) -> bool:
    """Wait until the run has ended, at most so long; say whether it has."""
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
