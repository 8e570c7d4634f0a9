"""Histograms that many values are put into at once: one lock for a batch, and nothing else that a value has to pay for.

prometheus_client's own take a lock and look up a child for each value, which the delivery pipeline would notice. These
are collectors, its documented way to bring figures of one's own.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from math import inf

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Histogram(Collector):
    """Counts of values up to each bound of ``buckets`` (ascending), for each combination of ``labels``. Thread-safe."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def observe_many(self, values: Iterable[tuple[tuple[str, ...], float]]) -> None:
        """Put in values, each with the values of its labels."""
        with self._lock:
            for labels, value in values:
                counts = self._counts.get(labels)
                if counts is None:
                    counts = self._counts[labels] = [0] * (len(self._bounds) + 1)
                    self._sums[labels] = 0.0
                counts[bisect_left(self._bounds, value)] += 1
                self._sums[labels] += value

    def counts(self) -> dict[tuple[str, ...], dict[float, int]]:
        """All that was put in so far: by labels, the values in each bucket and in no lower one, by its upper bound."""
        bounds = (*self._bounds, inf)
        with self._lock:
            return {labels: dict(zip(bounds, counts, strict=True)) for labels, counts in self._counts.items()}

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """What the registry asks when it is registered."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The samples as ``prometheus_client`` scrapes them."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            found = [(labels, list(counts), self._sums[labels]) for labels, counts in self._counts.items()]
        for labels, counts, total in found:
            running = 0
            buckets = []
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                running += count
                buckets.append((bound, float(running)))
            family.add_metric(labels, buckets, total)
        return [family]
