"""The doorbell: tells some worker that there may be work. Losing a ring costs a poll, never a run.

Rings are coalesced and sent by a thread of their own, so that a broker which is slow or gone
never holds a request up.
"""

import logging
import os
import threading
import time

from celery import current_app
from django.conf import settings

from agents.engine_process import host_ring

logger = logging.getLogger(__name__)
_QUIET_SECONDS = 5.0


class _Bell:
    """Sends at most one message at a time; rings meanwhile become one more."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._complained_at = -_QUIET_SECONDS
        threading.Thread(target=self._run, name="doorbell", daemon=True).start()

    def ring(self) -> None:
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                current_app.send_task("agents.pump", retry=False)
            except Exception:
                # Workers poll the database; the broker only makes them quicker.
                if time.monotonic() - self._complained_at > _QUIET_SECONDS:
                    self._complained_at = time.monotonic()
                    logger.warning("doorbell_unreachable", exc_info=True)


_lock = threading.Lock()
_bell: _Bell | None = None


def ring() -> None:
    """Ring the engine of this process, or some worker's through the broker. Returns at once."""
    global _bell
    if host_ring() or settings.CELERY_TASK_ALWAYS_EAGER:
        return
    with _lock:
        if _bell is None:
            _bell = _Bell()
    _bell.ring()


def _forget_after_fork() -> None:
    global _bell, _lock
    _lock = threading.Lock()
    _bell = None


os.register_at_fork(after_in_child=_forget_after_fork)
