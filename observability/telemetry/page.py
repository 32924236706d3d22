"""The page of metrics: what this host's processes counted, and what the database says now."""

import logging
import threading
from collections.abc import Callable, Iterable

from django.db import DatabaseError

from core import clock
from core.errors import UnavailableError
from core.metrics.exposition import exposition
from core.metrics.instruments import RECORDER
from core.metrics.recording import Labels
from governance.selectors.figures import governance_figures
from observability.telemetry import process

logger = logging.getLogger(__name__)

Figures = Iterable[tuple[str, Labels, float]]
FRESH_SECONDS = 5.0

_sources: list[Callable[[], Figures]] = [governance_figures]
_lock = threading.Lock()
_known: list[tuple[str, Labels, float]] = []
_known_at = float("-inf")


def readings_register(source: Callable[[], Figures]) -> None:
    """Have `source` asked for gauges that only the database knows; once a process, at its start."""
    if source not in _sources:
        _sources.append(source)


def metrics_page() -> bytes:
    """Return the metrics of this host's processes and of the site's database."""
    shelf = process.shelf()
    others = [] if shelf is None else list(shelf.others())
    return exposition([RECORDER.totals(), *others], _readings())


def _readings() -> list[tuple[str, Labels, float]]:
    """Ask the database at most every few seconds, whoever scrapes and however many at once.

    A database that does not answer is told as such; what the processes counted is told anyway.
    """
    global _known, _known_at
    with _lock:
        if clock.monotonic() - _known_at < FRESH_SECONDS:
            return _known
        try:
            found = [reading for source in _sources for reading in source()]
        except (DatabaseError, UnavailableError) as error:
            logger.warning("metrics_without_database", extra={"error": type(error).__name__})
            return [("agentry_database_up", (), 0.0)]
        _known = [*found, ("agentry_database_up", (), 1.0)]
        _known_at = clock.monotonic()
        return _known


def readings_forget() -> None:
    """Ask the database again at the next scrape."""
    global _known_at
    _known_at = float("-inf")
