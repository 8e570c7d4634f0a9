from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from wavecom.errors import StoreError
from wavecom.storage.clock import StoreClock

STORE = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)


class Environment:
    """A store's clock, this machine's clocks, and how long a reading takes."""

    def __init__(self) -> None:
        self.mark = 100.0
        self.seconds = 0.0
        self.store = STORE
        self.is_away = False
        self.clock = StoreClock(
            self.read, system_now=lambda: STORE - timedelta(minutes=10), monotonic=lambda: self.mark
        )

    def read(self) -> datetime:
        if self.is_away:
            raise StoreError("away")
        self.pass_time(self.seconds / 2)
        found = self.store
        self.pass_time(self.seconds / 2)
        return found

    def pass_time(self, seconds: float) -> None:
        self.mark += seconds
        self.store += timedelta(seconds=seconds)


def test_the_time_is_the_stores_however_wrong_this_machine_is() -> None:
    environment = Environment()
    environment.seconds = 0.2

    environment.clock.refresh()
    environment.pass_time(5)

    assert abs(environment.clock.now() - environment.store) < timedelta(milliseconds=2)


def test_before_the_store_has_answered_this_machines_clock_serves() -> None:
    environment = Environment()
    environment.is_away = True

    with pytest.raises(StoreError):
        environment.clock.refresh()

    assert environment.clock.now() == STORE - timedelta(minutes=10)


def test_a_reading_that_took_long_changes_nothing() -> None:
    environment = Environment()
    environment.clock.refresh()
    environment.seconds = 9

    environment.clock.refresh()

    assert abs(environment.clock.now() - environment.store) < timedelta(milliseconds=2)


def test_times_are_whole_milliseconds() -> None:
    environment = Environment()
    environment.clock.refresh()
    environment.pass_time(0.0012345)

    assert environment.clock.now().microsecond % 1000 == 0
