from __future__ import annotations

from tests.fakes import FakeClock
from wavecom.web.dashboard.brake import LoginBrake


def make(clock: FakeClock) -> LoginBrake:
    return LoginBrake(clock.monotonic, limit=3, total_limit=6, window_seconds=60)


def test_the_wait_shrinks_as_time_passes() -> None:
    clock = FakeClock()
    brake = make(clock)
    for _ in range(3):
        brake.enter("a")
        clock.advance(10)

    assert brake.enter("a") == 30
    clock.advance(29)
    assert brake.enter("a") == 1
    clock.advance(1)
    assert brake.enter("a") == 0


def test_being_refused_is_not_another_failure() -> None:
    clock = FakeClock()
    brake = make(clock)
    for _ in range(3):
        brake.enter("a")
    for _ in range(50):
        brake.enter("a")

    clock.advance(60)

    assert brake.enter("a") == 0


def test_one_address_does_not_hold_up_another() -> None:
    brake = make(FakeClock())
    for _ in range(3):
        brake.enter("a")

    assert brake.enter("a") > 0
    assert brake.enter("b") == 0


def test_many_addresses_together_have_a_limit_too() -> None:
    brake = make(FakeClock())
    for number in range(6):
        assert brake.enter(f"address {number}") == 0

    assert brake.enter("yet another") == 60


def test_an_attempt_counts_from_its_start_so_that_many_at_once_cannot_pass() -> None:
    brake = make(FakeClock())

    waits = [brake.enter("a") for _ in range(4)]

    assert waits == [0, 0, 0, 60]


def test_what_could_not_be_checked_does_not_count() -> None:
    brake = make(FakeClock())
    for _ in range(10):
        assert brake.enter("a") == 0
        brake.undecided("a")

    assert brake.enter("a") == 0
