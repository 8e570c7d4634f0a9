"""Guessing is slowed down by address and by key; what is right is never asked about here."""

from __future__ import annotations

import pytest

from tests.fakes import FakeClock
from wavecom.accounts.throttle import EventLimiter, LoginThrottle, network_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def _throttle(clock: FakeClock, **more: int) -> LoginThrottle:
    return LoginThrottle(clock.monotonic, **{"limit": 5, "window_seconds": 60, **more})


def test_after_the_limit_an_address_has_to_wait(clock: FakeClock) -> None:
    throttle = _throttle(clock)

    waits = [throttle.failed("192.0.2.1") for _ in range(6)]

    assert waits[:5] == [0] * 5
    assert waits[5] == pytest.approx(12)


def test_room_comes_back_one_by_one_and_all_of_it_in_the_window(clock: FakeClock) -> None:
    throttle = _throttle(clock)
    for _ in range(6):
        throttle.failed("192.0.2.1")

    clock.advance(12)
    after_a_step = [throttle.failed("192.0.2.1") > 0 for _ in range(2)]
    clock.advance(60)
    after_the_window = [throttle.failed("192.0.2.1") > 0 for _ in range(6)]

    assert after_a_step == [False, True]
    assert after_the_window == [False] * 5 + [True]


def test_who_goes_on_trying_waits_no_longer_for_it(clock: FakeClock) -> None:
    throttle = _throttle(clock)
    for _ in range(1000):
        throttle.failed("192.0.2.1")

    clock.advance(12)

    assert throttle.failed("192.0.2.1") == 0


def test_one_address_does_not_slow_down_another(clock: FakeClock) -> None:
    throttle = _throttle(clock)
    for _ in range(50):
        throttle.failed("192.0.2.1")

    assert throttle.failed("192.0.2.2") == 0


def test_guessing_at_one_key_from_many_addresses_is_slowed_down(clock: FakeClock) -> None:
    throttle = _throttle(clock)

    waits = [throttle.failed(f"192.0.2.{number}", "kkkk") for number in range(6)]

    assert [wait > 0 for wait in waits] == [False] * 5 + [True]
    assert throttle.failed("192.0.2.99", "other") == 0


def test_a_flood_of_names_takes_no_more_memory_than_it_may(clock: FakeClock) -> None:
    meter = EventLimiter(clock.monotonic, limit=1, window_seconds=60, capacity=100)
    meter.count("first")
    for number in range(99):
        meter.count(str(number))

    still_known = meter.count("first") > 0
    for number in range(100, 200):
        meter.count(str(number))

    assert still_known
    assert meter.count("first") == 0
    assert meter.known == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_site_counts_as_one(address: str, network: str) -> None:
    assert network_of(address) == network
