"""One suite for every ``Stats``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryStats
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.storage.mongo.stats import MongoStats

MINUTE = NOW.replace(second=0, microsecond=0)
FOREVER = (NOW - timedelta(days=1), NOW + timedelta(days=1))


class SettableClock:
    """A clock to set."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


AnyStats = MemoryStats | MongoStats


@pytest.fixture(params=["memory", "mongo"])
def make_stats(request: pytest.FixtureRequest, clock: SettableClock) -> Iterator[Callable[[], AnyStats]]:
    """Makes the counters of one process after another, all over one store."""
    if request.param == "memory":
        memory = MemoryStats(clock)
        yield lambda: memory
        return
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    made: list[MongoStats] = []

    def make() -> AnyStats:
        # Flushed by hand: the thread would wake after the test.
        made.append(MongoStats(database, now=clock, interval_seconds=3600))
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


def test_minutes_are_counted_from_their_beginning(stats: AnyStats, clock: SettableClock) -> None:
    for seconds in (-60, 0, 60):
        clock.at = later(seconds)
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


def test_a_series_has_each_step_by_channel_and_status(stats: AnyStats, clock: SettableClock) -> None:
    for hours in (0, 1, 25):
        clock.at = later(hours=hours)
        stats.add("acme", Channel.SMS, Status.QUEUED, 2)
        stats.add("acme", Channel.EMAIL, Status.DELIVERED)
        stats.add("globex", Channel.SMS, Status.QUEUED, 5)
        stats.flush()
    day, hour = NOW.replace(hour=0, minute=0, second=0, microsecond=0), MINUTE.replace(minute=0)
    mine = {Channel.SMS: {Status.QUEUED: 2}, Channel.EMAIL: {Status.DELIVERED: 1}}

    by_minute = stats.series(MINUTE, MINUTE + timedelta(hours=1), Interval.MINUTE, "acme")
    by_hour = stats.series(hour, hour + timedelta(hours=25), Interval.HOUR, "acme")
    by_day = stats.series(day, day + timedelta(days=3), Interval.DAY)

    assert by_minute == {MINUTE: mine}
    assert by_hour == {hour: mine, hour + timedelta(hours=1): mine}
    assert by_day == {
        day: {Channel.SMS: {Status.QUEUED: 14}, Channel.EMAIL: {Status.DELIVERED: 2}},
        day + timedelta(days=1): {Channel.SMS: {Status.QUEUED: 7}, Channel.EMAIL: {Status.DELIVERED: 1}},
    }
    assert stats.series(day, day + timedelta(days=3), Interval.DAY, "nobody") == {}


def test_hours_add_up_to_what_minutes_do(stats: AnyStats, clock: SettableClock) -> None:
    for minutes in range(0, 120, 7):
        clock.at = later(minutes=minutes)
        stats.add("acme", Channel.PUSH, Status.QUEUED)
        if minutes % 2:
            stats.flush()
    stats.flush()

    day = Interval.DAY.start_of(NOW)
    for step in Interval:
        series = stats.series(day, day + timedelta(days=1), step, "acme")
        assert sum(counts[Channel.PUSH][Status.QUEUED] for counts in series.values()) == 18


def test_accounts_are_told_apart_and_test_ones_from_live_ones(stats: AnyStats) -> None:
    for account, count in (("acme", 1), ("acme:test", 2), ("globex", 4)):
        stats.add(account, Channel.SMS, Status.DELIVERED, count)
    stats.add("acme", Channel.PUSH, Status.FAILED)
    stats.flush()

    def delivered(**narrowed: bool | None) -> int:
        series = stats.series(MINUTE, MINUTE + timedelta(minutes=1), Interval.MINUTE, **narrowed)
        return series[MINUTE][Channel.SMS][Status.DELIVERED]

    assert stats.by_account(*FOREVER) == {
        "acme": {Status.DELIVERED: 1, Status.FAILED: 1},
        "acme:test": {Status.DELIVERED: 2},
        "globex": {Status.DELIVERED: 4},
    }
    assert stats.by_account(NOW + timedelta(days=1), NOW + timedelta(days=2)) == {}
    assert (delivered(), delivered(is_test=True), delivered(is_test=False)) == (7, 2, 5)


def test_a_job_is_accepted_once_whatever_becomes_of_it(stats: AnyStats) -> None:
    stats.add("acme", Channel.SMS, Status.QUEUED, 3, is_new=True)
    stats.add("acme", Channel.SMS, Status.SCHEDULED, 2, is_new=True)
    stats.flush()
    # Those that were scheduled become due, and one is started again.
    stats.add("acme", Channel.SMS, Status.QUEUED, 2)
    stats.add("acme", Channel.SMS, Status.QUEUED)
    stats.add("globex", Channel.EMAIL, Status.QUEUED, 5)
    stats.add("acme:test", Channel.PUSH, Status.SCHEDULED, 4, is_new=True)
    stats.flush()

    assert stats.accepted(*FOREVER) == {("acme", Channel.SMS): 5, ("acme:test", Channel.PUSH): 4}
    assert stats.accepted(NOW + timedelta(days=1), NOW + timedelta(days=2)) == {}
    assert stats.totals(*FOREVER, "acme") == {Status.QUEUED: 6, Status.SCHEDULED: 2}


def test_what_an_older_release_counted_shows_what_it_showed(indexed_database: Database[dict[str, Any]]) -> None:
    older = {"client": "acme", "type": "sms", "counts": {"queued": 7, "scheduled": 2, "delivered": 4}}
    indexed_database["stats"].insert_one(
        {"_id": {"minute": MINUTE, "client": "acme", "type": "sms"}, "minute": MINUTE, **older}
    )

    with closing(MongoStats(indexed_database, now=lambda: later(60), interval_seconds=3600)) as stats:
        stats.add("acme", Channel.SMS, Status.QUEUED, 1, is_new=True)
        stats.add("acme", Channel.EMAIL, Status.QUEUED, 5)
        stats.flush()

        assert stats.accepted(*FOREVER) == {("acme", Channel.SMS): 10}


def test_jobs_of_test_accounts_are_kept_and_are_no_metric(indexed_database: Database[dict[str, Any]]) -> None:
    labels = {"type": "push", "status": "queued"}
    before = REGISTRY.get_sample_value("wavecom_jobs_total", labels) or 0

    with closing(MongoStats(indexed_database, interval_seconds=3600)) as stats:
        stats.add("acme", Channel.PUSH, Status.QUEUED, 2)
        stats.add("acme:test", Channel.PUSH, Status.QUEUED, 5)
        stats.flush()
        kept = stats.totals(*(moment + (datetime.now(NOW.tzinfo) - NOW) for moment in FOREVER))

    assert kept == {Status.QUEUED: 7}
    assert REGISTRY.get_sample_value("wavecom_jobs_total", labels) == before + 2
