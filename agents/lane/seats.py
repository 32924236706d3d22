"""Who may hold an answer: each user so many at a time, so that nobody takes them all.

A held answer costs a connection and a live view until its run has ended. Whoever is refused is
told so before anything was started.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from django.conf import settings

from core.errors import LimitExceededError

RETRY_SECONDS = 5.0


class Seats:
    """Counts held answers of one process. Used on the server's event loop only."""

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def taken(self, who: Hashable) -> Iterator[None]:
        """Keep a seat while the block runs.

        Raises:
            LimitExceededError: `who` has as many as one may have.
        """
        limit = settings.INVOKE_WAITS
        if self._taken[who] >= limit:
            raise LimitExceededError(
                f"You wait for {limit} answers on this server already; nothing was started.",
                retry_after_seconds=RETRY_SECONDS,
                remedy="Call without `wait` and follow the run by its id, or wait for fewer.",
            )
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
