"""How fast the cores are, told from pieces of work of which the test says how long they took."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.speed import CoreSpeed, SpeedProbe, do_work


def probe_of(*seconds: float) -> SpeedProbe:
    """One whose pieces of work take so long, one after the other; the last for ever."""
    readings: Iterator[float] = iter(seconds)
    return SpeedProbe(lambda: next(readings, seconds[-1]), pause_seconds=0.005)


def wait_until(moment: float) -> None:
    while time.monotonic() < moment:
        time.sleep(0.001)


def test_cores_that_take_1_6_times_as_long_have_a_speed_of_0_62() -> None:
    assert CoreSpeed(mean=1 / 0.0032, best=1 / 0.002).speed == pytest.approx(0.625)


def test_speed_is_the_mean_over_the_phase_against_the_best_of_the_whole_run() -> None:
    probe = probe_of(0.002, 0.004)
    probe.between(0, 0)  # takes the first reading, the fast one
    since = time.monotonic()

    with probe:
        wait_until(since + 0.1)
    pace = probe.between(since, time.monotonic())

    assert pace == CoreSpeed(mean=pytest.approx(250), best=pytest.approx(500))
    assert pace.speed == pytest.approx(0.5)


def test_readings_before_and_after_a_phase_do_not_count_for_it() -> None:
    probe = probe_of(0.004, 0.002, 0.004)
    probe.between(0, 0)
    since = time.monotonic()
    probe.between(0, 0)
    until = time.monotonic()
    probe.between(0, 0)

    assert probe.between(since, until).mean == pytest.approx(500)


def test_a_phase_too_short_for_a_reading_gets_one_of_its_own() -> None:
    probe = probe_of(0.002)

    assert probe.between(5, 6).mean == pytest.approx(500)


def test_calibration_knows_the_best_of_many_pieces() -> None:
    probe = probe_of(0.004, 0.004, 0.002, 0.004)

    pace = probe.calibrate(0.3)

    assert pace.best == pytest.approx(500)
    assert 250 < pace.mean < 500


def test_the_piece_of_work_disturbs_nobody() -> None:
    # Some 2 ms, every 300 ms; 20 would still be less than a tenth of a core.
    assert 0 < min(do_work() for _ in range(5)) < 0.02
