"""A circuit breaker: after enough failures in a row a vendor is left alone for a while.

Closed, every attempt may go. Open, none may, until the pause is over. Then one attempt is the
probe: its success closes the breaker, its failure opens it again for another pause.
"""

from collections.abc import Callable

from agents.errors import ProviderOverloadedError
from core import clock


class Breaker:
    """Counts one provider's failures. Used from one event loop, so no lock is needed."""

    __slots__ = (
        "_clock",
        "_failures",
        "_is_probing",
        "_name",
        "_opened_at",
        "_pause",
        "_threshold",
    )

    def __init__(
        self,
        name: str,
        *,
        threshold: int = 5,
        pause_seconds: float = 30.0,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._name = name
        self._threshold = threshold
        self._pause = pause_seconds
        self._clock = monotonic
        self._failures = 0
        self._opened_at: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        return self._opened_at is not None

    def enter(self) -> None:
        """Take leave to make one attempt; raise ProviderOverloadedError while open.

        Every `enter` that returns is followed by exactly one `succeeded`, `failed` or `left`.
        """
        if self._opened_at is None:
            return
        wait = self._opened_at + self._pause - self._clock()
        if wait > 0 or self._is_probing:
            wait = max(wait, 1.0)
            raise ProviderOverloadedError(
                f"{self._name} failed {self._failures} times in a row and is left alone for now.",
                remedy=f"It will be tried again in {wait:.0f} seconds.",
                retry_after_seconds=wait,
            )
        self._is_probing = True

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = None
        self._is_probing = False

    def failed(self) -> None:
        self._failures += 1
        self._is_probing = False
        if self._opened_at is not None or self._failures >= self._threshold:
            self._opened_at = self._clock()

    def left(self) -> None:
        """The attempt ended without saying anything about the vendor: it was cancelled."""
        self._is_probing = False
