"""One suite for every ``Stats``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from wavecom.core.job import Channel
from wavecom.core.states import Status
from wavecom.storage.memory import MemoryStats
from wavecom.storage.mongo.stats import MongoStats

MINUTE = NOW.replace(second=0, microsecond=0)
FOREVER = (NOW - timedelta(days=1), NOW + timedelta(days=1))


class Watch:
    """A clock to set."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def watch() -> Watch:
    return Watch()


AnyStats = MemoryStats | MongoStats


@pytest.fixture(params=["memory", "mongo"])
def make_stats(request: pytest.FixtureRequest, watch: Watch) -> Iterator[Callable[[], AnyStats]]:
    """Makes the counters of one process after another, all over one store."""
    if request.param == "memory":
        memory = MemoryStats(watch)
        yield lambda: memory
        return
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    made: list[MongoStats] = []

    def make() -> AnyStats:
        # Flushed by hand: the thread would wake after the test.
        made.append(MongoStats(database, now=watch, interval_seconds=3600))
        return made[-1]

    yield make
    for stats in made:
        stats.close()


@pytest.fixture
def stats(make_stats: Callable[[], AnyStats]) -> AnyStats:
    return make_stats()


def test_what_was_counted_adds_up(stats: AnyStats) -> None:
    stats.add("acme", Channel.SMS, Status.QUEUED)
    stats.add("acme", Channel.SMS, Status.QUEUED, 4)
    stats.flush()
    stats.add("acme", Channel.EMAIL, Status.QUEUED)
    stats.add("globex", Channel.SMS, Status.DELIVERED, 2)
    stats.flush()

    assert stats.totals(*FOREVER) == {Status.QUEUED: 6, Status.DELIVERED: 2}
    assert stats.totals(*FOREVER, "acme") == {Status.QUEUED: 6}
    assert stats.totals(*FOREVER, "nobody") == {}


def test_minutes_are_counted_from_their_beginning(stats: AnyStats, watch: Watch) -> None:
    for seconds in (-60, 0, 60):
        watch.at = later(seconds)
        stats.add("acme", Channel.SMS, Status.QUEUED)
    stats.flush()

    step = timedelta(minutes=1)
    assert stats.totals(MINUTE, MINUTE + step) == {Status.QUEUED: 1}
    assert stats.totals(MINUTE - step, MINUTE + step) == {Status.QUEUED: 2}
    assert stats.totals(MINUTE + step * 2, MINUTE + step * 9) == {}


def test_several_processes_and_threads_count_together(make_stats: Callable[[], AnyStats]) -> None:
    processes = [make_stats() for _ in range(4)]

    def count(turn: int) -> None:
        process = processes[turn % 4]
        for _ in range(25):
            process.add("acme", Channel.SMS, Status.QUEUED)
        process.flush()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(16)))

    assert processes[0].totals(*FOREVER) == {Status.QUEUED: 400}


def test_odd_client_names_are_names(stats: AnyStats) -> None:
    stats.add("$a.b", Channel.SMS, Status.QUEUED)
    stats.flush()

    assert stats.totals(*FOREVER, "$a.b") == {Status.QUEUED: 1}


def test_closing_writes_what_is_left(make_stats: Callable[[], AnyStats]) -> None:
    with closing(make_stats()) as stats:
        stats.add("acme", Channel.SMS, Status.QUEUED)

    assert make_stats().totals(*FOREVER) == {Status.QUEUED: 1}
