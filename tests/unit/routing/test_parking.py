from __future__ import annotations

import pytest

from tests.fakes import FakeClock
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import Refusal
from wavecom.routing.gate import BREAKER_OPEN, BULKHEAD, RATE_LIMIT
from wavecom.routing.parking import LONGEST_SECONDS, ParkingTimes

LANE = Lane(Channel.SMS, Priority.NORMAL)


def times() -> tuple[ParkingTimes, FakeClock]:
    clock = FakeClock()
    return ParkingTimes(clock.monotonic), clock


def refusal(seconds: float, reason: str = RATE_LIMIT) -> Refusal:
    return Refusal("sms", reason, seconds)


def test_jobs_that_wait_for_a_rate_come_back_one_after_another() -> None:
    parking, _ = times()

    assert [parking.seconds(LANE, refusal(2)) for _ in range(4)] == [2, 4, 6, 8]


def test_who_has_come_back_holds_up_nobody() -> None:
    parking, clock = times()
    for _ in range(3):
        parking.seconds(LANE, refusal(2))

    clock.advance(6)

    assert parking.seconds(LANE, refusal(2)) == 2


@pytest.mark.parametrize("reason", [BREAKER_OPEN, BULKHEAD])
def test_what_opens_for_all_at_once_is_waited_for_by_all_alike(reason: str) -> None:
    parking, _ = times()

    assert [parking.seconds(LANE, refusal(30, reason)) for _ in range(3)] == [30, 30, 30]


def test_one_lane_waits_for_no_other() -> None:
    parking, _ = times()
    parking.seconds(LANE, refusal(2))

    assert parking.seconds(LANE._replace(priority=Priority.HIGH), refusal(2)) == 2


def test_nobody_is_set_aside_for_long_but_for_as_long_as_the_gate_says() -> None:
    parking, clock = times()

    pauses = [parking.seconds(LANE, refusal(1)) for _ in range(1000)]

    assert max(pauses) == LONGEST_SECONDS
    assert parking.seconds(LANE, refusal(90)) == 90
    clock.advance(LONGEST_SECONDS)
    assert parking.seconds(LANE, refusal(1)) <= 2
