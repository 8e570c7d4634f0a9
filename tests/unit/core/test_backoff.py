from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.backoff import LONGEST_SECONDS, delay_seconds

attempts = st.integers(1, 200)
jitters = st.floats(0, 1, exclude_max=True)
bases = st.floats(1, 60)
caps = st.floats(60, 3600)
wishes = st.none() | st.floats(0, 86_400)
floors = st.floats(0, 3600)


@given(attempts, jitters, bases, caps, wishes, floors)
def test_a_delay_is_whole_seconds_and_at_least_one(
    attempt: int, jitter: float, base: float, cap: float, wish: float | None, floor: float
) -> None:
    delay = delay_seconds(
        attempt, jitter, base_seconds=base, cap_seconds=cap, retry_after_seconds=wish, floor_seconds=floor
    )

    assert isinstance(delay, int)
    assert delay >= 1


@given(attempts, jitters, bases, caps)
def test_half_of_the_step_is_certain_and_the_whole_step_is_never_exceeded(
    attempt: int, jitter: float, base: float, cap: float
) -> None:
    step = min(cap, base * 2 ** min(attempt - 1, 32))

    delay = delay_seconds(attempt, jitter, base_seconds=base, cap_seconds=cap)

    assert step / 2 <= delay <= math.ceil(step)


@given(attempts, jitters, bases, caps, wishes, floors)
def test_what_the_provider_asked_for_is_never_undercut(
    attempt: int, jitter: float, base: float, cap: float, wish: float | None, floor: float
) -> None:
    delay = delay_seconds(
        attempt, jitter, base_seconds=base, cap_seconds=cap, retry_after_seconds=wish, floor_seconds=floor
    )

    assert delay >= max(wish or 0, floor)


@given(attempts, jitters, bases, caps, wishes, floors)
def test_a_wish_lengthens_the_delay_and_never_shortens_it(
    attempt: int, jitter: float, base: float, cap: float, wish: float | None, floor: float
) -> None:
    without = delay_seconds(attempt, jitter, base_seconds=base, cap_seconds=cap)

    delay = delay_seconds(
        attempt, jitter, base_seconds=base, cap_seconds=cap, retry_after_seconds=wish, floor_seconds=floor
    )

    assert delay >= without


@given(attempts, jitters, bases, caps, wishes, floors)
def test_a_later_attempt_waits_no_less(
    attempt: int, jitter: float, base: float, cap: float, wish: float | None, floor: float
) -> None:
    def delay(number: int) -> int:
        return delay_seconds(
            number, jitter, base_seconds=base, cap_seconds=cap, retry_after_seconds=wish, floor_seconds=floor
        )

    assert delay(attempt) <= delay(attempt + 1)


@given(attempts, bases, caps, wishes)
def test_more_jitter_waits_no_less(attempt: int, base: float, cap: float, wish: float | None) -> None:
    delays = [
        delay_seconds(attempt, step / 10, base_seconds=base, cap_seconds=cap, retry_after_seconds=wish)
        for step in range(10)
    ]

    assert delays == sorted(delays)


def test_the_step_doubles_up_to_the_cap() -> None:
    delays = [delay_seconds(attempt, 0.0, base_seconds=4, cap_seconds=600) for attempt in range(1, 12)]

    assert delays == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_a_crowd_that_failed_together_comes_back_spread_over_half_the_step() -> None:
    crowd = [delay_seconds(9, number / 1000, base_seconds=4, cap_seconds=600) for number in range(1000)]

    per_second = [crowd.count(second) for second in range(301, 600)]

    assert (min(crowd), max(crowd)) == (300, 600)
    assert max(per_second) <= 4


def test_a_crowd_that_was_told_the_same_time_does_not_come_back_at_once() -> None:
    crowd = {
        delay_seconds(5, number / 100, base_seconds=4, cap_seconds=600, retry_after_seconds=60) for number in range(100)
    }

    assert (min(crowd), max(crowd)) == (60, 90)
    assert len(crowd) == 31


@pytest.mark.parametrize("wish", [1e9, 1e300, float("inf")])
def test_nobody_is_asked_to_wait_longer_than_any_job_lives(wish: float) -> None:
    delay = delay_seconds(1, 0.99, base_seconds=4, cap_seconds=600, retry_after_seconds=wish)

    assert delay == LONGEST_SECONDS


@pytest.mark.parametrize("wish", [float("nan"), -1.0])
def test_a_wish_that_makes_no_sense_is_no_wish(wish: float) -> None:
    delay = delay_seconds(1, 0.0, base_seconds=4, cap_seconds=600, retry_after_seconds=wish, floor_seconds=30)

    assert delay == 30
