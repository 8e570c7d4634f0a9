"""The guard against a store that is an older copy of itself."""

from __future__ import annotations

import pytest

from tests.factories import NOW
from tests.fakes import FakeClock
from tests.memory_storage import MemoryHeartbeats, MemoryStoreHeartbeat
from wavecom.core.store_guard import BEAT_SECONDS, Heartbeat, StoreGuard, finds_older
from wavecom.errors import StoreError


class _Installation:
    """A store, what remembers it, and processes of which each has a guard."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.store = MemoryStoreHeartbeat()
        self.memory = MemoryHeartbeats()

    def process(self) -> StoreGuard:
        guard = StoreGuard(self.store, self.memory, self.clock)
        guard.check()
        return guard

    def beat(self, times: int, by: StoreGuard) -> None:
        for _ in range(times):
            by.beat()
            self.clock.advance(BEAT_SECONDS)

    def copied(self) -> Heartbeat:
        assert self.store.heartbeat is not None
        return self.store.heartbeat


@pytest.fixture
def installation() -> _Installation:
    return _Installation()


def test_nothing_is_claimed_before_the_first_comparison(installation: _Installation) -> None:
    guard = StoreGuard(installation.store, installation.memory, installation.clock)

    assert guard.is_held
    with pytest.raises(StoreError):
        guard.require_current()


def test_a_store_that_only_grows_is_current(installation: _Installation) -> None:
    sweeping, delivering = installation.process(), installation.process()

    installation.beat(3, sweeping)
    delivering.check()

    assert installation.copied().number == 3
    assert not delivering.is_held
    delivering.require_current()


def test_it_grows_every_few_seconds_and_not_with_every_sweep(installation: _Installation) -> None:
    sweeping = installation.process()

    for _ in range(10):
        sweeping.beat()
        installation.clock.advance(1)

    assert installation.copied().number == 2


def test_a_restored_store_is_held_by_every_process_and_one_that_starts(installation: _Installation) -> None:
    sweeping, delivering = installation.process(), installation.process()
    installation.beat(2, sweeping)
    copy = installation.copied()
    installation.beat(3, sweeping)

    installation.store.heartbeat = copy
    delivering.check()
    sweeping.beat()

    assert delivering.is_older
    assert sweeping.is_older
    assert installation.process().is_older
    with pytest.raises(StoreError):
        delivering.require_current()


def test_a_held_store_does_not_grow_until_it_would_look_current(installation: _Installation) -> None:
    sweeping = installation.process()
    installation.beat(1, sweeping)
    copy = installation.copied()
    installation.beat(1, sweeping)

    installation.store.heartbeat = copy
    installation.beat(10, sweeping)

    assert installation.copied() == copy
    assert sweeping.is_older


def test_what_this_process_has_seen_counts_where_redis_was_flushed_or_is_away(installation: _Installation) -> None:
    sweeping, delivering = installation.process(), installation.process()
    installation.beat(1, sweeping)
    copy = installation.copied()
    installation.beat(3, sweeping)
    delivering.check()

    installation.memory.latest_by_store.clear()
    installation.store.heartbeat = copy
    delivering.check()
    assert delivering.is_older

    installation.memory.is_away = True
    sweeping.check()
    assert sweeping.is_older


def test_while_redis_is_away_deliveries_go_on(installation: _Installation) -> None:
    sweeping = installation.process()
    installation.beat(1, sweeping)
    installation.memory.is_away = True

    installation.beat(2, sweeping)

    assert not sweeping.is_held
    assert not installation.process().is_held


def test_a_store_that_is_away_is_held_until_it_has_been_compared(installation: _Installation) -> None:
    delivering = installation.process()
    installation.store.is_away = True
    delivering.check()
    assert delivering.is_held
    assert not delivering.is_older

    installation.store.is_away = False
    delivering.check()

    assert not delivering.is_held


def test_an_emptied_store_is_another_and_not_an_older_one(installation: _Installation) -> None:
    sweeping = installation.process()
    installation.beat(5, sweeping)

    installation.store.heartbeat = None
    sweeping.beat()
    installation.clock.advance(BEAT_SECONDS)
    sweeping.beat()

    assert not sweeping.is_held


def test_once_it_is_recovered_all_go_on(installation: _Installation) -> None:
    sweeping, delivering = installation.process(), installation.process()
    installation.beat(1, sweeping)
    copy = installation.copied()
    installation.beat(3, sweeping)
    installation.store.heartbeat = copy
    delivering.check()

    installation.store.recover(5, installation.clock.now())
    delivering.check()
    installation.beat(1, sweeping)

    assert not delivering.is_held
    assert installation.copied().number == 6


def test_when_it_was_first_seen_to_be_older_is_noted_once_for_all(installation: _Installation) -> None:
    sweeping, delivering = installation.process(), installation.process()
    installation.beat(1, sweeping)
    copy = installation.copied()
    installation.beat(1, sweeping)
    installation.store.heartbeat = copy
    seen_at = installation.clock.now()

    delivering.check()
    installation.clock.advance(120)
    sweeping.check()

    assert installation.store.older == (2, seen_at)


def test_who_holds_nothing_is_told_that_the_store_is_older(installation: _Installation) -> None:
    sweeping = installation.process()
    assert not finds_older(installation.store, installation.memory), "nothing is remembered yet"
    installation.beat(2, sweeping)
    copy = installation.copied()
    installation.beat(2, sweeping)
    current = finds_older(installation.store, installation.memory)

    installation.store.heartbeat = copy

    assert (current, finds_older(installation.store, installation.memory)) == (False, True)


def test_who_cant_read_store_or_memory_can_tell_nothing(installation: _Installation) -> None:
    sweeping = installation.process()
    installation.beat(2, sweeping)
    copy = installation.copied()
    installation.beat(2, sweeping)
    installation.store.heartbeat = copy
    installation.memory.is_away = True
    without_memory = finds_older(installation.store, installation.memory)
    installation.memory.is_away, installation.store.is_away = False, True

    assert (without_memory, finds_older(installation.store, installation.memory)) == (False, False)
