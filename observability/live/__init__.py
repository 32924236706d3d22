"""Live delivery: the table is the truth, sockets carry news.

Writers call `announce` once per commit and `emit_delta` in between; both return at once, from any
thread, and never raise. Viewers come in through `websocket` and `sse`, which follow topics of the
`hub` of their event loop.
"""

import os
import threading
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings

from observability.contracts import Announcement, Delta, DeltaChannel
from observability.live.fanout import Hub
from observability.live.reader import DatabaseReader
from observability.live.transport import LiveProcess

__all__ = ["announce", "close", "emit_delta", "hub", "stop"]

_lock = threading.Lock()
_process: LiveProcess | None = None


def announce(announcements: Sequence[Announcement]) -> None:
    """Tell viewers that these runs have reached these events; call after the commit."""
    _live().announce(announcements)


def emit_delta(
    workspace_id: UUID,
    run_id: UUID,
    after_sequence: int,
    text: str,
    channel: DeltaChannel = "text",
) -> None:
    """Show viewers of the run a fragment of the answer that is being written.

    `after_sequence` is the run's last event when the model was asked. The fragment may be lost.
    """
    _live().emit_delta(Delta(workspace_id, run_id, after_sequence, text, channel))


def hub() -> Hub:
    """Return the hub of the running event loop, starting it on first use."""
    return _live().hub()


async def stop() -> None:
    """Close the viewers of the running loop (code 1001); for the server's shutdown."""
    if _process is not None:
        await _process.aclose()


def close() -> None:
    """Send what waits and stop publishing; for the process's shutdown. Later news starts anew."""
    global _process
    with _lock:
        process, _process = _process, None
    if process is not None:
        process.close()


def _live() -> LiveProcess:
    global _process
    process = _process
    if process is None:
        with _lock:
            if _process is None:
                _process = LiveProcess(
                    redis_url=settings.REDIS_URL, make_hub=lambda: Hub.start(DatabaseReader())
                )
            process = _process
    return process


def _forget_after_fork() -> None:
    """Threads and sockets do not survive a fork: the child starts with nothing."""
    global _lock, _process
    _lock = threading.Lock()
    _process = None


os.register_at_fork(after_in_child=_forget_after_fork)
