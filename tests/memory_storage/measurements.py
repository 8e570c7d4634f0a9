"""Counts of what workers measured, kept in dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from wavecom.core.measurements import Buckets, MeasuredKey, added
from wavecom.core.ports import Interval
from wavecom.errors import StoreError


class MemoryMeasurementStore:
    """``wavecom.core.measurements.MeasurementStore`` without a server; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self._kept: dict[Interval, dict[datetime, dict[MeasuredKey, Buckets]]] = {
            Interval.MINUTE: {},
            Interval.HOUR: {},
        }

    def add(self, at: datetime, grown: Mapping[MeasuredKey, Buckets]) -> None:
        """See the port."""
        if not self.is_up:
            raise StoreError("away")
        for step, kept in self._kept.items():
            counts = kept.setdefault(step.start_of(at), {})
            for key, buckets in grown.items():
                counts[key] = added([counts.get(key, {}), buckets])

    def between(self, since: datetime, before: datetime, step: Interval) -> dict[datetime, dict[MeasuredKey, Buckets]]:
        """See the port."""
        if not self.is_up:
            raise StoreError("away")
        kept = self._kept[Interval.MINUTE if step is Interval.MINUTE else Interval.HOUR]
        return {at: dict(counts) for at, counts in kept.items() if since <= at < before}
