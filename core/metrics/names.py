"""Which names have series of their own: those the site lists, then the first that come.

Kept in a file that all processes of a host share, so that their series are the same few, however
many processes there are and how often they start. A name over the bound is `other` for ever.
"""

import fcntl
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from core.metrics.table import OTHER

logger = logging.getLogger(__name__)

MOST = 50
_LONGEST = 100


class Names:
    """Names of one label. Without a file they are bounded within this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bind()

    def bind(
        self, most: int = MOST, *, first: Iterable[str] = (), file: Path | None = None
    ) -> None:
        """Begin anew: `most` names, `first` among them, shared through `file`."""
        with self._lock:
            self._most = most
            self._first = tuple(dict.fromkeys(_fitted(name) for name in first))[:most]
            self._known = set(self._first)
            self._file = file
            self._is_full = False

    @property
    def most(self) -> int:
        return self._most

    def known(self) -> list[str]:
        """Return the names that have series of their own, as far as this process has heard."""
        with self._lock:
            return sorted(self._known)

    def admitted(self, name: str) -> str:
        """Return the value the series of `name` goes by."""
        name = _fitted(name)
        if name in self._known:
            return name
        if self._is_full:
            return OTHER
        with self._lock:
            return self._ask(name)

    def _ask(self, name: str) -> str:
        if self._file is not None:
            try:
                self._known.update(self._shared(name))
            except OSError as error:  # a full disk must not stop what is counted
                logger.warning("metric_names_not_shared", extra={"error": str(error.strerror)})
                return OTHER
        if name not in self._known and len(self._known) < self._most:
            self._known.add(name)
        self._is_full = len(self._known) >= self._most
        return name if name in self._known else OTHER

    def _shared(self, name: str) -> list[str]:
        """Read the names of all processes, after adding this one if there is room."""
        assert self._file is not None
        with self._file.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            taken = file.read().splitlines()[: max(self._most - len(self._first), 0)]
            everything = {*taken, *self._first}
            if name not in everything and len(everything) < self._most:
                file.write(f"{name}\n")
                taken.append(name)
            elif name not in everything:
                self._is_full = True
        return taken


def _fitted(name: str) -> str:
    """One line of bounded length; an empty name is told as unknown."""
    return " ".join(name.split())[:_LONGEST] or "unknown"
