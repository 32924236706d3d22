"""Figures of several processes as one text that Prometheus reads.

Counters and histograms add up; gauges keep the process they are of. A metric nobody has counted
yet is told as zero where it has no labels, so that a question about it has an answer from the
start.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from core.metrics.recording import Labels, Totals
from core.metrics.table import METRICS, Kind, Metric

Readings = Sequence[tuple[str, Labels, float]]


def exposition(processes: Iterable[Totals], readings: Readings = ()) -> bytes:
    """Return the page: what `processes` counted, and `readings` of gauges that have no process."""
    from prometheus_client import generate_latest  # only whoever is scraped pays for it

    sums = _Sums()
    for totals in processes:
        sums.take(totals)
    for name, labels, value in readings:
        sums.gauges[name][labels] = value
    text: bytes = generate_latest(sums)  # all it asks for is `collect`
    return text


def content_type() -> str:
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

    return str(CONTENT_TYPE_PLAIN_0_0_4)


class _Sums:
    def __init__(self) -> None:
        self.counters: dict[str, dict[Labels, float]] = defaultdict(dict)
        self.histograms: dict[str, dict[Labels, tuple[list[int], float]]] = defaultdict(dict)
        self.gauges: dict[str, dict[Labels, float]] = defaultdict(dict)

    def take(self, totals: Totals) -> None:
        for name, rows in totals.counters.items():
            values = self.counters[name]
            for labels, value in rows:
                values[labels] = values.get(labels, 0.0) + value
        for name, seen in totals.histograms.items():
            known = self.histograms[name]
            for labels, counts, total in seen:
                before, sum_before = known.get(labels, ([0] * len(counts), 0.0))
                if len(before) == len(counts):
                    added = [a + b for a, b in zip(before, counts, strict=True)]
                    known[labels] = (added, sum_before + total)
        for name, gauges in totals.gauges.items():
            self.gauges[name].update(gauges)

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for metric in METRICS:
            if metric.kind is Kind.COUNTER:
                counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, value in _told(metric, self.counters[metric.name]):
                    counter.add_metric(labels, value)
                yield counter
            elif metric.kind is Kind.GAUGE:
                gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, value in sorted(self.gauges[metric.name].items()):
                    if len(labels) == len(metric.labels):
                        gauge.add_metric(labels, value)
                yield gauge
            else:
                histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
                for labels, (counts, total) in sorted(self.histograms[metric.name].items()):
                    if len(counts) == len(metric.buckets) + 1:
                        histogram.add_metric(labels, _cumulated(metric, counts), total)
                yield histogram


def _told(metric: Metric, values: dict[Labels, float]) -> list[tuple[Labels, float]]:
    if not metric.labels:
        return [((), values.get((), 0.0))]
    return sorted(
        (labels, value) for labels, value in values.items() if len(labels) == len(metric.labels)
    )


def _cumulated(metric: Metric, counts: Sequence[int]) -> list[tuple[str, float]]:
    result, below = [], 0
    for bound, count in zip((*metric.buckets, float("inf")), counts, strict=True):
        below += count
        result.append(("+Inf" if bound == float("inf") else str(bound), float(below)))
    return result
