from __future__ import annotations

import time
from dataclasses import dataclass

from wavecom.lag import SHOWN_SECONDS, LagMeter


@dataclass
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_lag_counts_for_whoever_was_waiting_meanwhile_as_far_as_he_waited() -> None:
    clock = Time()
    meter = LagMeter(clock)
    clock.now = 1010
    meter.note(4)
    clock.now = 1020

    assert meter.longest_since(1000) == 4
    assert meter.longest_since(1008) == 2
    assert meter.longest_since(1010) == 0


def test_the_usual_jitter_is_no_lag() -> None:
    meter = LagMeter(Time())

    meter.note(0.05)

    assert meter.longest_since(0) == 0


def test_the_worst_of_the_last_minute_is_shown() -> None:
    clock = Time()
    meter = LagMeter(clock)
    meter.note(3)
    clock.now += SHOWN_SECONDS / 2
    meter.note(1)

    before = meter.worst()
    clock.now += SHOWN_SECONDS / 2

    assert (before, meter.worst()) == (3, 1)


def test_a_thread_that_was_kept_from_running_is_noticed() -> None:
    clock = Time()
    meter = LagMeter(clock)
    meter.start()
    try:
        deadline = time.monotonic() + 30
        while meter.worst() == 0 and time.monotonic() < deadline:
            clock.now += 5  # far more than the meter has slept
            time.sleep(0.01)
    finally:
        meter.close()

    assert meter.worst() > 4
