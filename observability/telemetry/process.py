"""One process's part in telemetry: begun once it has its role, ended before it ends."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable

from django.conf import settings

from core.loop_lag import LoopWatch, SlowCallback, unwatched, watched
from core.metrics.instruments import LOOP_LAG_SECONDS, LOOP_SLOW, RECORDER, process_watched
from core.metrics.shelf import Shelf
from core.tracing.setup import tracing_start, tracing_stop
from observability.telemetry.listener import Listener

logger = logging.getLogger(__name__)

_lock = threading.Lock()
_shelf: Shelf | None = None
_listener: Listener | None = None
_listeners: list[Callable[[SlowCallback], None]] = []


def shelf() -> Shelf | None:
    return _shelf


def telemetry_start(role: str) -> str:
    """Take a place among this host's processes and begin to tell; once, after any fork.

    Returns the name of the place, such as `worker-0`.
    """
    global _shelf, _listener
    with _lock:
        if _shelf is not None:
            return RECORDER.process
        folder = settings.METRICS_DIR
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        RECORDER.bind(most=settings.METRICS_NAMES, agents=settings.METRICS_AGENTS, folder=folder)
        place = Shelf(folder, RECORDER)
        process_watched()
        name = place.take(role)
        _shelf = place
        tracing_start(settings.TRACES, role=role, instance=f"{socket.gethostname()}/{name}")
        if settings.METRICS_ADDRESS and role != "web":
            _listener = Listener(settings.METRICS_ADDRESS, token=settings.METRICS_TOKEN)
            _listener.start()
        return name


def telemetry_stop() -> None:
    """Tell the last figures and give the place to the next process."""
    global _shelf, _listener
    with _lock:
        place, _shelf = _shelf, None
        listener, _listener = _listener, None
    tracing_stop()
    if listener is not None:
        listener.stop()
    if place is not None:
        place.close()


def slow_callbacks_tell(listener: Callable[[SlowCallback], None]) -> None:
    """Have `listener` told of every callback that held a watched loop up, in the watch's thread."""
    if listener not in _listeners:
        _listeners.append(listener)


def loop_watch(loop: asyncio.AbstractEventLoop) -> LoopWatch:
    """Watch an event loop of this process until `loop_unwatch`."""
    return watched(LoopWatch(loop, settings.LOOP_LAG_SECONDS, _slow, on_lag=_lag))


loop_unwatch = unwatched


def _lag(seconds: float) -> None:
    LOOP_LAG_SECONDS.observe(seconds, RECORDER.process)


def _slow(slow: SlowCallback) -> None:
    LOOP_SLOW.add(1, RECORDER.process)
    logger.warning("event_loop_held_up", extra={"where": slow.where, "seconds": slow.seconds})
    for listener in _listeners:
        listener(slow)
