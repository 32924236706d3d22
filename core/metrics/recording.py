"""Counting in memory: a look-up and an addition for each event, nothing written.

Instruments are safe from any thread. Values of labels that people choose are bounded as a series
is made, so that no flood of names makes a process grow.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from core.metrics.names import MOST, Names
from core.metrics.table import BY_NAME, METRICS, NAMES, OTHER, Kind, Metric, Source

# A label of a closed set that grows beyond this is a mistake; what is over it counts as `other`.
SERIES_MOST = 2_000
Labels: TypeAlias = tuple[str, ...]


class Totals(msgspec.Struct, kw_only=True):
    """Figures of one process at one moment. Histograms: counts by bucket, the last above all
    buckets, then the sum."""

    process: str = ""
    pid: int = 0
    at: float = 0.0
    counters: dict[str, list[tuple[Labels, float]]] = {}
    histograms: dict[str, list[tuple[Labels, list[int], float]]] = {}
    gauges: dict[str, list[tuple[Labels, float]]] = {}


class _Instrument:
    def __init__(self, metric: Metric, names: Mapping[str, Names]) -> None:
        self.metric = metric
        self._names = [names.get(label) for label in metric.labels]
        self._lock = threading.Lock()

    def _bounded(self, labels: Labels, known: int) -> Labels:
        """Return the labels of the series that `labels` are counted in."""
        if len(labels) != len(self.metric.labels):
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}: {labels}")
        if known >= SERIES_MOST:
            return (OTHER,) * len(labels)
        return tuple(
            value if names is None else names.admitted(value)
            for value, names in zip(labels, self._names, strict=True)
        )


class Counter(_Instrument):
    """Only grows."""

    def __init__(self, metric: Metric, names: Mapping[str, Names]) -> None:
        super().__init__(metric, names)
        self._values: dict[Labels, float] = {}

    def add(self, amount: float, *labels: str) -> None:
        values = self._values
        if labels not in values:
            labels = self._bounded(labels, len(values))
        with self._lock:
            values[labels] = values.get(labels, 0.0) + amount

    def inherit(self, rows: Iterable[tuple[Labels, float]]) -> None:
        for labels, value in rows:
            if len(labels) == len(self.metric.labels):
                self.add(value, *labels)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()

    def rows(self) -> list[tuple[Labels, float]]:
        with self._lock:
            return list(self._values.items())


class Histogram(_Instrument):
    """Counts observations by bucket, upper bounds included."""

    def __init__(self, metric: Metric, names: Mapping[str, Names]) -> None:
        super().__init__(metric, names)
        self._buckets = metric.buckets
        self._values: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def observe(self, value: float, *labels: str) -> None:
        if labels not in self._values:
            labels = self._bounded(labels, len(self._values))
        with self._lock:
            counts = self._values.get(labels)
            if counts is None:
                counts = self._values[labels] = [0] * (len(self._buckets) + 1)
            counts[bisect_left(self._buckets, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def inherit(self, rows: Iterable[tuple[Labels, list[int], float]]) -> None:
        for told, counts, total in rows:
            # Another release may have had other buckets; its counts fit nowhere.
            if len(told) != len(self.metric.labels) or len(counts) != len(self._buckets) + 1:
                continue
            labels = self._bounded(told, len(self._values))
            with self._lock:
                before = self._values.get(labels, [0] * len(counts))
                self._values[labels] = [a + b for a, b in zip(before, counts, strict=True)]
                self._sums[labels] = self._sums.get(labels, 0.0) + total

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._sums.clear()

    def rows(self) -> list[tuple[Labels, list[int], float]]:
        with self._lock:
            return [
                (labels, list(counts), self._sums.get(labels, 0.0))
                for labels, counts in self._values.items()
            ]


class Recorder:
    """All instruments of a process."""

    def __init__(self) -> None:
        self.process = "this"
        self._names = {label: Names() for label in NAMES}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        for metric in METRICS:
            if metric.kind is Kind.COUNTER:
                self._counters[metric.name] = Counter(metric, self._names)
            elif metric.kind is Kind.HISTOGRAM:
                self._histograms[metric.name] = Histogram(metric, self._names)

    def counter(self, name: str) -> Counter:
        return self._counters[name]

    def histogram(self, name: str) -> Histogram:
        return self._histograms[name]

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Have `read` asked for the gauge of this process whenever figures are put together."""
        metric = BY_NAME[name]
        if metric.kind is not Kind.GAUGE or metric.source is not Source.PROCESS:
            raise ValueError(f"{name} is no gauge of a process.")
        self._gauges[name] = read

    def names(self, label: str) -> Names:
        return self._names[label]

    def gauges_end(self) -> None:
        """Tell no gauges any more: the process is ending."""
        self._gauges.clear()

    def bind(
        self, *, most: int = MOST, agents: Iterable[str] = (), folder: Path | None = None
    ) -> None:
        """Bound names from here on as the site is configured, shared with others in `folder`."""
        for label, names in self._names.items():
            file = None if folder is None else folder / f"names.{label}"
            first = agents if label == "agent" else ()
            names.bind(most, first=first, file=file)

    def inherit(self, totals: Totals) -> None:
        """Go on from the figures of a process that has ended."""
        for name, rows in totals.counters.items():
            if name in self._counters:
                self._counters[name].inherit(rows)
        for name, seen in totals.histograms.items():
            if name in self._histograms:
                self._histograms[name].inherit(seen)

    def totals(self) -> Totals:
        """Return the figures as they are now; the maps of empty instruments are left out."""
        return Totals(
            process=self.process,
            counters={name: rows for name, c in self._counters.items() if (rows := c.rows())},
            histograms={name: seen for name, h in self._histograms.items() if (seen := h.rows())},
            gauges={name: [((self.process,), read())] for name, read in self._gauges.items()},
        )

    def clear(self) -> None:
        """Forget all figures and names, as a process that has just begun."""
        self.process = "this"
        self._gauges.clear()
        self.bind()
        for counter in self._counters.values():
            counter.clear()
        for histogram in self._histograms.values():
            histogram.clear()
