"""Adds what a worker's histograms have grown by to the store, every few seconds: the hot path pays nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from wavecom.core.measurements import Buckets, Measured, MeasuredKey, MeasurementStore
from wavecom.errors import StoreError
from wavecom.histograms import Histogram

#: How often, at the most that a page is late.
FLUSH_SECONDS = 5.0


class MeasurementWriter:
    """Writes the growth of histograms since its last call. Thread-safe.

    While the store is away nothing is lost: the growth is that since the last time that was written.
    ``now`` is aware UTC.
    """

    def __init__(
        self, histograms: Mapping[Measured, Histogram], store: MeasurementStore, now: Callable[[], datetime]
    ) -> None:
        self._histograms = histograms
        self._store = store
        self._now = now
        self._writing = threading.Lock()
        self._written: dict[MeasuredKey, Buckets] = self._counts()

    def write(self) -> None:
        """Raises ``StoreError``."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        counts = self._counts()
        grown: dict[MeasuredKey, Buckets] = {}
        for key, buckets in counts.items():
            before = self._written.get(key, {})
            growth = {bound: count - before.get(bound, 0) for bound, count in buckets.items()}
            if any(growth.values()):
                grown[key] = {bound: count for bound, count in growth.items() if count}
        if grown:
            self._store.add(self._now(), grown)
            self._written = counts

    def write_last(self) -> None:
        """When the worker stops: what is left, or not, where the store is away."""
        with suppress(StoreError):
            self.write()

    def _counts(self) -> dict[MeasuredKey, Buckets]:
        return {
            MeasuredKey(measured, labels): buckets
            for measured, histogram in self._histograms.items()
            for labels, buckets in histogram.counts().items()
        }
