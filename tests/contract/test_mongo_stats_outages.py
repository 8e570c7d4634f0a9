"""Kept counters while the store is away, or cut off in the middle of a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, cast

import pytest
from pymongo.database import Database

from tests.contract.faulty_collection import FaultyCollection, lost_on_the_way_back, lost_on_the_way_out, no_server
from tests.factories import NOW
from tests.waiting import wait_until
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.storage.mongo.stats import MongoStats

FOREVER = (NOW - timedelta(days=1), NOW + timedelta(days=1))


@pytest.fixture
def collection(indexed_database: Database[dict[str, Any]]) -> FaultyCollection:
    return FaultyCollection(indexed_database["stats"])


@pytest.fixture
def make_stats(
    collection: FaultyCollection, indexed_database: Database[dict[str, Any]]
) -> Iterator[Callable[..., MongoStats]]:
    made: list[MongoStats] = []

    def make(*, interval_seconds: float = 3600, capacity: int = 100) -> MongoStats:
        collections = {"stats": collection, "stats_hourly": indexed_database["stats_hourly"]}
        database = cast("Database[dict[str, Any]]", collections)
        made.append(MongoStats(database, now=lambda: NOW, interval_seconds=interval_seconds, capacity=capacity))
        return made[-1]

    yield make
    for stats in made:
        stats.close()


def _count(stats: MongoStats, *clients: str) -> None:
    for client in clients:
        stats.add(client, Channel.SMS, Status.QUEUED)


def test_nothing_is_lost_while_the_store_is_away(
    make_stats: Callable[..., MongoStats], collection: FaultyCollection
) -> None:
    stats = make_stats()
    _count(stats, "acme")
    collection.faults["bulk_write"] = [no_server, no_server]
    for _ in range(2):
        with pytest.raises(StoreError):
            stats.flush()
        _count(stats, "acme", "globex")

    stats.flush()

    assert stats.totals(*FOREVER) == {Status.QUEUED: 5}
    assert stats.totals(*FOREVER, "globex") == {Status.QUEUED: 2}


def test_a_flush_of_unknown_fate_counts_once(
    make_stats: Callable[..., MongoStats], collection: FaultyCollection
) -> None:
    stats = make_stats()
    _count(stats, "acme", "acme", "globex")
    stats.flush()
    _count(stats, "acme", "initech")
    collection.faults["bulk_write"] = [lost_on_the_way_back, lost_on_the_way_out]
    for _ in range(2):
        with pytest.raises(UncertainWriteError):
            stats.flush()
        _count(stats, "acme")

    stats.flush()

    assert stats.totals(*FOREVER) == {Status.QUEUED: 7}
    assert stats.totals(*FOREVER, "acme") == {Status.QUEUED: 5}
    [hour] = stats.series(*FOREVER, Interval.HOUR).values()
    assert hour == {Channel.SMS: {Status.QUEUED: 7}}


def test_counts_are_written_by_themselves_and_again_after_an_outage(
    make_stats: Callable[..., MongoStats], collection: FaultyCollection
) -> None:
    collection.faults["bulk_write"] = [no_server, lost_on_the_way_back]
    stats = make_stats(interval_seconds=0.01)

    _count(stats, "acme")

    assert wait_until(lambda: stats.totals(*FOREVER)) == {Status.QUEUED: 1}


def test_a_long_outage_does_not_fill_the_memory(make_stats: Callable[..., MongoStats]) -> None:
    stats = make_stats(capacity=3)

    _count(stats, "a", "b", "c", "d", "a")
    stats.flush()

    assert [stats.totals(*FOREVER, client) for client in "abcd"] == [
        {Status.QUEUED: 2},
        {Status.QUEUED: 1},
        {Status.QUEUED: 1},
        {},
    ]
