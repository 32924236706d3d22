"""What a source of secrets outside the database is asked and what it answers."""

import threading
from collections.abc import Callable
from typing import Protocol

from core import clock
from governance.errors import SecretUnreadableError
from governance.secrets.places import SecretPlace

_FAILURE_SECONDS = 1.0


class SecretSource(Protocol):
    """One way to look secrets up. Safe from any thread; every answer comes within a bound."""

    def read(self, place: SecretPlace) -> str:
        """Return the value at a place.

        Raises:
            SecretUnreadableError: It is not there, or the source does not answer; the sentence
                names the place, and neither a value nor the source's own credential.
        """
        ...


class CachedSource:
    """Asks a source again only when an answer is older than `seconds`.

    A failure is remembered for a second, so that of many who ask a dead source few have to wait.
    """

    def __init__(
        self,
        source: SecretSource,
        *,
        seconds: float,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._source = source
        self._seconds = seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._values: dict[SecretPlace, tuple[str, float]] = {}
        self._failures: dict[SecretPlace, tuple[SecretUnreadableError, float]] = {}

    def read(self, place: SecretPlace) -> str:
        now = self._monotonic()
        with self._lock:
            known = self._values.get(place)
            failed = self._failures.get(place)
        if known is not None and now - known[1] < self._seconds:
            return known[0]
        if failed is not None and now - failed[1] < _FAILURE_SECONDS:
            raise failed[0]
        try:
            value = self._source.read(place)
        except SecretUnreadableError as error:
            with self._lock:
                self._values.pop(place, None)
                self._failures[place] = (error, self._monotonic())
            raise
        with self._lock:
            self._failures.pop(place, None)
            if self._seconds > 0:
                self._values[place] = (value, self._monotonic())
        return value


def unreadable(place: SecretPlace, why: str, remedy: str) -> SecretUnreadableError:
    return SecretUnreadableError(f"The secret at {place} cannot be read: {why}.", remedy=remedy)
