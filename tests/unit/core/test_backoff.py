from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.backoff import LONGEST_SECONDS, delay_seconds

limits = st.integers(2, 20)
jitters = st.floats(0, 1, exclude_max=True)
bases = st.floats(1, 60)
caps = st.floats(1, 86_400)
lives = st.floats(0.001, 400 * 86_400)
wishes = st.none() | st.floats(0, 86_400)
floors = st.floats(0, 3600)

THREE_DAYS, FIVE_MINUTES = 72 * 3600.0, 300.0


def delay(
    attempt: int,
    jitter: float = 0.0,
    *,
    limit: int = 5,
    left: float = THREE_DAYS,
    base: float = 4,
    cap: float = 43_200,
    wish: float | None = None,
    floor: float = 0,
) -> int:
    return delay_seconds(
        attempt,
        jitter,
        max_attempts=limit,
        seconds_left=left,
        base_seconds=base,
        cap_seconds=cap,
        retry_after_seconds=wish,
        floor_seconds=floor,
    )


def attempts_of(
    life: float, *, limit: int = 5, jitter: float = 0.0, base: float = 4, cap: float = 43_200, call_seconds: float = 0
) -> list[float]:
    """When the attempts of a job start that never succeeds, in seconds from the first."""
    at, starts = 0.0, [0.0]
    for attempt in range(1, limit):
        at += call_seconds
        at += delay(attempt, jitter, limit=limit, left=life - at, base=base, cap=cap)
        starts.append(at)
    return starts


@given(st.data(), limits, jitters, bases, caps, lives, wishes, floors)
def test_a_delay_is_whole_seconds_at_least_one_and_what_was_asked_for_is_never_undercut(
    data: st.DataObject,
    limit: int,
    jitter: float,
    base: float,
    cap: float,
    left: float,
    wish: float | None,
    floor: float,
) -> None:
    attempt = data.draw(st.integers(1, limit - 1))

    found = delay(attempt, jitter, limit=limit, left=left, base=base, cap=cap, wish=wish, floor=floor)

    assert isinstance(found, int)
    assert max(1, wish or 0, floor) <= found <= LONGEST_SECONDS


@given(st.data(), limits, jitters, bases, caps, lives, wishes, floors)
def test_an_attempt_that_is_possible_before_the_end_is_not_planned_after_it(
    data: st.DataObject,
    limit: int,
    jitter: float,
    base: float,
    cap: float,
    left: float,
    wish: float | None,
    floor: float,
) -> None:
    attempt = data.draw(st.integers(1, limit - 1))
    soonest = math.ceil(max(1, wish or 0, floor))

    found = delay(attempt, jitter, limit=limit, left=left, base=base, cap=cap, wish=wish, floor=floor)

    assert found < left or (found == soonest and soonest >= left)


@given(limits, jitters, bases, caps, st.floats(0, 3))
def test_every_attempt_lies_inside_the_life_where_a_second_is_left_for_each(
    limit: int, jitter: float, base: float, cap: float, spare: float
) -> None:
    life = limit + spare

    assert attempts_of(life, limit=limit, jitter=jitter, base=base, cap=cap)[-1] < life


@given(limits, jitters, st.floats(30, 400 * 86_400))
def test_waits_grow(limit: int, jitter: float, life: float) -> None:
    starts = attempts_of(life, limit=limit)

    waits = [later - earlier for earlier, later in pairwise(starts)]

    # A second of rounding may go either way.
    assert all(earlier <= later + 1 for earlier, later in pairwise(waits))


@given(st.data(), limits, bases, caps, lives, wishes)
def test_more_jitter_waits_no_less_and_a_wish_never_shortens(
    data: st.DataObject, limit: int, base: float, cap: float, left: float, wish: float | None
) -> None:
    attempt = data.draw(st.integers(1, limit - 1))

    delays = [delay(attempt, step / 10, limit=limit, left=left, base=base, cap=cap, wish=wish) for step in range(10)]

    assert delays == sorted(delays)
    assert delays[0] >= delay(attempt, limit=limit, left=left, base=base, cap=cap)


@given(st.data(), limits, jitters, bases, caps, lives)
def test_no_step_is_longer_than_the_cap(
    data: st.DataObject, limit: int, jitter: float, base: float, cap: float, left: float
) -> None:
    attempt = data.draw(st.integers(1, limit - 1))

    assert delay(attempt, jitter, limit=limit, left=left, base=base, cap=cap) <= math.ceil(cap * 1.5)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_one_time_password_of_five_minutes_gets_all_attempts_inside_them_the_first_ones_quick(jitter: float) -> None:
    starts = attempts_of(FIVE_MINUTES, jitter=jitter)

    assert starts[1] <= 6
    assert starts[2] <= 30
    assert 150 <= starts[-1] < 290


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_mail_of_three_days_is_tried_within_seconds_minutes_an_hour_and_half_a_day(jitter: float) -> None:
    starts = attempts_of(THREE_DAYS, jitter=jitter)

    assert starts[1] <= 6
    assert 60 < starts[2] < 300
    assert 3600 < starts[3] < 2 * 3600
    assert 12 * 3600 < starts[4] < 15 * 3600


def test_the_bounds_are_the_provider_s_and_the_operator_s_to_set() -> None:
    slow_start = attempts_of(THREE_DAYS, base=60)
    short = attempts_of(THREE_DAYS, cap=30, base=1)

    assert slow_start[1] == 60
    assert [later - earlier for earlier, later in pairwise(short)] == [1, 30, 30, 30]


def test_the_only_retry_there_is_comes_neither_at_once_nor_at_the_very_end() -> None:
    [_, retried] = attempts_of(THREE_DAYS, limit=2)

    assert 60 < retried < 3600


@pytest.mark.parametrize("life", [30, 60, 300, 3600, 86_400, THREE_DAYS])
@pytest.mark.parametrize("limit", [2, 3, 5])
@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_time_that_calls_or_waiting_for_leave_take_only_makes_what_is_left_closer(
    life: float, limit: int, jitter: float
) -> None:
    starts = attempts_of(life, limit=limit, jitter=jitter, call_seconds=life / limit / 3)

    assert starts[-1] < life


def test_a_crowd_that_failed_together_comes_back_spread_over_ten_minutes_at_most() -> None:
    crowd = [delay(4, number / 1000) for number in range(1000)]

    assert max(crowd) - min(crowd) <= 600
    assert max(crowd.count(second) for second in crowd) <= 3


def test_a_crowd_that_was_told_the_same_time_does_not_come_back_at_once() -> None:
    crowd = {delay(1, number / 100, wish=600) for number in range(100)}

    assert (min(crowd), max(crowd)) == (600, 660)
    assert len(crowd) > 50


def test_a_provider_s_wish_within_the_life_keeps_its_attempt_before_the_end() -> None:
    assert delay(1, 0.999, limit=2, left=100.0, wish=95) < 100


def test_a_wish_beyond_the_life_is_no_reason_to_come_before_it() -> None:
    assert delay(1, 0.5, left=100.0, wish=3600) >= 3600


@pytest.mark.parametrize("left", [0.0, -1.0, -1e9, 0.5])
def test_a_result_that_comes_after_the_end_still_gets_an_answer(left: float) -> None:
    assert delay(1, 0.5, left=left) == 1


@pytest.mark.parametrize("wish", [1e9, 1e300, float("inf")])
def test_nobody_is_asked_to_wait_longer_than_any_job_lives(wish: float) -> None:
    assert delay(1, 0.99, wish=wish) == LONGEST_SECONDS


@pytest.mark.parametrize("wish", [float("nan"), -1.0])
def test_a_wish_that_makes_no_sense_is_no_wish(wish: float) -> None:
    assert delay(1, wish=wish, floor=30) == 30
