"""One suite for every ``MeasurementStore``."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryMeasurementStore
from wavecom.core.measurements import Measured, MeasuredKey, MeasurementStore
from wavecom.core.ports import Interval
from wavecom.storage.mongo.measurements import MongoMeasurementStore

CALLS = MeasuredKey(Measured.CALLS, ("gate.way-1", "delivered"))
TAKEN = MeasuredKey(Measured.TAKEN, ("sms", "high"))
HOUR = Interval.HOUR.start_of(NOW)
MINUTE = Interval.MINUTE.start_of(NOW)


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> MeasurementStore:
    if request.param == "memory":
        return MemoryMeasurementStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoMeasurementStore(database)


def test_counts_of_all_workers_add_up_by_minute_and_by_hour(store: MeasurementStore) -> None:
    store.add(MINUTE, {CALLS: {0.025: 2, inf: 1}, TAKEN: {1.0: 5}})
    store.add(later(0), {CALLS: {0.025: 1, 2.5: 4}})
    store.add(MINUTE + Interval.MINUTE.length, {TAKEN: {1.0: 1}})

    minutes = store.between(HOUR, HOUR + Interval.HOUR.length, Interval.MINUTE)
    hours = store.between(HOUR, HOUR + Interval.HOUR.length, Interval.HOUR)

    assert minutes == {
        MINUTE: {CALLS: {0.025: 3, 2.5: 4, inf: 1}, TAKEN: {1.0: 5}},
        MINUTE + Interval.MINUTE.length: {TAKEN: {1.0: 1}},
    }
    assert hours == {HOUR: {CALLS: {0.025: 3, 2.5: 4, inf: 1}, TAKEN: {1.0: 6}}}


def test_only_what_lies_between_is_found(store: MeasurementStore) -> None:
    store.add(MINUTE, {TAKEN: {1.0: 5}})

    assert store.between(MINUTE, MINUTE, Interval.MINUTE) == {}
    assert store.between(MINUTE + Interval.MINUTE.length, later(days=1), Interval.MINUTE) == {}
    assert set(store.between(MINUTE, MINUTE + Interval.MINUTE.length, Interval.MINUTE)) == {MINUTE}
