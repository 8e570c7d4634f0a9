"""What histograms have grown by is added to the store, once."""

from __future__ import annotations

from math import inf

import pytest
from prometheus_client import CollectorRegistry

from tests.factories import NOW
from tests.memory_storage import MemoryMeasurementStore
from wavecom.core.measurements import Measured, MeasuredKey
from wavecom.core.ports import Interval
from wavecom.errors import StoreError
from wavecom.histograms import Histogram
from wavecom.measuring import MeasurementWriter

KEY = MeasuredKey(Measured.CALLS, ("a", "delivered"))


def _kept(store: MemoryMeasurementStore) -> dict[float, int]:
    found = store.between(NOW.replace(minute=0), NOW.replace(minute=59), Interval.MINUTE)
    return dict(next(iter(found.values()), {}).get(KEY, {}))


def test_only_the_growth_is_written_and_none_twice_or_lost() -> None:
    calls = Histogram("calls", "Calls", ["provider", "outcome"], buckets=(1.0, 2.0), registry=CollectorRegistry())
    calls.observe_many([(KEY.labels, 0.5)])
    store = MemoryMeasurementStore()
    writer = MeasurementWriter({Measured.CALLS: calls}, store, lambda: NOW)

    writer.write()
    before = _kept(store)
    calls.observe_many([(KEY.labels, 0.5), (KEY.labels, 9.0)])
    writer.write()
    writer.write()
    store.is_up = False
    calls.observe_many([(KEY.labels, 1.5)])
    with pytest.raises(StoreError):
        writer.write()
    store.is_up = True
    writer.write()

    # What was there before it began, another life of the process has written.
    assert before == {}
    assert _kept(store) == {1.0: 1, 2.0: 1, inf: 1}
