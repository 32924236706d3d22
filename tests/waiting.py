"""Waiting for the thing itself: the only way a test waits for another thread or process."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 90.0  # for a machine that has other things to do; a pass takes what it takes
_LOOK_SECONDS = 0.02


class NeverHappenedError(AssertionError):
    """Something did not come about in time; the sentence says what was seen instead."""


def wait_for(
    is_true: Callable[[], object], what: Callable[[], object], *, seconds: float = PATIENCE_SECONDS
) -> float:
    """Look until `is_true`; return how long that took.

    Raises:
        NeverHappenedError: It was not within `seconds`; `what` says what there was.
    """
    begun = time.monotonic()
    while not is_true():
        if time.monotonic() - begun > seconds:
            raise NeverHappenedError(f"not after {seconds:.0f} s: {what()}")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - begun
