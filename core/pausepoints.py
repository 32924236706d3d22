"""Named points where a test may stop, fail or kill the process.

Production code calls `reach` at the lines between which a crash would matter. With nothing
installed that is one look at an empty dictionary. `AGENTRY_PAUSE_AT=<point>:kill[:<n>]` makes the
process kill itself with SIGKILL at the n-th visit, which is how crash tests work on real workers;
`stop` makes it stand still with SIGSTOP, once, until somebody wakes it.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_handlers: dict[str, Callable[[], None]] = {}
_lock = threading.Lock()
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

# Every point there is: a test names one of these or is refused.
POINTS = frozenset(
    {
        "step.before_model",
        "step.after_model",
        "step.let_go",
        "step.before_hold",
        "edit.before_commit",
        "intent.before_commit",
        "intent.after_commit",
        "claim.before_commit",
        "claim.after_commit",
        "dispatch.before_commit",
        "dispatch.after_commit",
        "effect.after",
        "result.before_commit",
        "result.after_commit",
        "journal.before_write",
        "journal.before_commit",
        "journal.after_commit",
        "rotation.before_write",
        "run.after_claim",
        "run.before_finish",
        "control.before_update",
        "approval.before_lock",
        "approval.before_commit",
        "approval.before_claim",
        "approval.after_claim",
        "grant.before_claim",
        "grant.before_lock",
        "grant.before_count",
        "grant.before_commit",
        "grant.after_commit",
        "grant.after_claim",
        "grant.before_update",
        "budget.before_reserve",
        "budget.before_commit",
        "budget.after_commit",
        "budget.before_raise",
        "budget.before_park",
        "budget.before_note",
        "policy.before_adopt",
        "documents.before_apply",
        "drain.before_update",
        "fork.before_insert",
        "start.after_commit",
        "shadow.before_answer",
        "delivery.taken",
        "sandbox.after_open",
        "sandbox.before_close",
        "snapshot.file_read",
        "snapshot.before_flush",
        "snapshot.before_tree",
        "snapshot.after_tree",
        "restore.entry",
        "collect.before_delete",
        "workspace.begun",
        "workspace.kept",
        "workspace.before_end",
        "usage.before_commit",
        "usage.after_read",
    }
)


def reach(point: str) -> None:
    """Mark that `point` was reached; runs what a test installed there."""
    if _handlers and (handler := _handlers.get(point)) is not None:
        handler()


def install(point: str, handler: Callable[[], None]) -> None:
    if point not in POINTS:
        raise ValueError(f"No pause point is called {point!r}; there are: {sorted(POINTS)}")
    _handlers[point] = handler


@contextmanager
def at(point: str, handler: Callable[[], None]) -> Iterator[None]:
    """Install `handler` at `point` while the block runs."""
    install(point, handler)
    try:
        yield
    finally:
        _handlers.pop(point, None)


def install_from_environment() -> None:
    """Arm the point named by AGENTRY_PAUSE_AT (`point:kill`, `point:stop:n`), if any."""
    order = os.environ.get("AGENTRY_PAUSE_AT", "")
    if not order:
        return
    point, _, rest = order.partition(":")
    action, _, count = rest.partition(":")
    if action not in _SIGNALS:
        raise ValueError(f"AGENTRY_PAUSE_AT={order!r}: the action must be `kill` or `stop`.")
    left = int(count or 1)

    def send() -> None:
        nonlocal left
        with _lock:
            left -= 1
            is_due = left == 0 or (left < 0 and action == "kill")
        if is_due:
            os.kill(os.getpid(), _SIGNALS[action])

    install(point, send)
