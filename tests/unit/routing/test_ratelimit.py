from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.lanes import Priority
from wavecom.routing.ratelimit import Limiter, RateSettings

settings = st.builds(RateSettings, st.floats(0.1, 1000), st.floats(1, 100))
lanes = st.sampled_from(Priority)
#: Pauses in intervals of the provider's rate, and the lane that asks after each.
requests = st.lists(st.tuples(st.floats(0, 3), lanes), max_size=200)

#: Sums of many floats are never exact.
ROUNDING = 1e-6


def take(limiter: Limiter, lane: Priority, cost: float, now: float) -> float:
    """Ask and use, as both gates do: 0, or how long to wait."""
    wait = limiter.retry_after(lane, now)
    if wait == 0:
        limiter.charge(cost, now)
    return wait


@given(settings, requests)
def test_no_time_sees_more_permits_than_its_share_and_the_burst(
    settings: RateSettings, requests: list[tuple[float, Priority]]
) -> None:
    limiter = Limiter(settings)
    now, granted_at = 1000.0, []

    for pause, lane in requests:
        now += pause / settings.rate_per_second
        if take(limiter, lane, 1, now) == 0:
            granted_at.append(now)

    for first, start in enumerate(granted_at):
        for last, end in enumerate(granted_at[first:], first):
            allowed = settings.rate_per_second * (end - start) + settings.burst
            assert last - first + 1 <= allowed + ROUNDING


@given(settings, requests, lanes)
def test_after_the_wait_that_was_promised_there_is_a_permit(
    settings: RateSettings, requests: list[tuple[float, Priority]], lane: Priority
) -> None:
    limiter = Limiter(settings)
    now = 1000.0
    for pause, each in requests:
        now += pause / settings.rate_per_second
        take(limiter, each, 1, now)

    now += limiter.retry_after(lane, now)

    assert take(limiter, lane, 1, now) == 0


@given(
    st.builds(RateSettings, st.floats(0.1, 1000), st.floats(2, 100)),
    st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_however_much_bulk_takes_high_finds_a_permit_at_once(settings: RateSettings, pauses: list[float]) -> None:
    limiter = Limiter(settings)
    now = 1000.0

    for pause in pauses:
        now += pause / settings.rate_per_second
        take(limiter, Priority.BULK, 1, now)

        assert limiter.retry_after(Priority.HIGH, now) == 0


@pytest.mark.parametrize(("lane", "share"), [(Priority.HIGH, 1.0), (Priority.NORMAL, 0.9), (Priority.BULK, 0.8)])
def test_a_lane_that_is_alone_gets_its_share_of_the_rate(lane: Priority, share: float) -> None:
    limiter = Limiter(RateSettings(100, 10))

    granted = sum(take(limiter, lane, 1, millisecond / 1000) == 0 for millisecond in range(20_000))

    assert granted == pytest.approx(20 * 100 * share, rel=0.01)


def test_bulk_waits_while_higher_lanes_use_what_it_may_have() -> None:
    limiter = Limiter(RateSettings(100, 10))
    granted = {Priority.NORMAL: 0, Priority.BULK: 0}

    for millisecond in range(20_000):
        if millisecond % 12 == 0:  # 83 a second
            granted[Priority.NORMAL] += take(limiter, Priority.NORMAL, 1, millisecond / 1000) == 0
        granted[Priority.BULK] += take(limiter, Priority.BULK, 1, millisecond / 1000) == 0

    assert granted[Priority.NORMAL] == 1667
    assert granted[Priority.BULK] < 20


def test_bulk_goes_on_soon_after_higher_lanes_have_stopped() -> None:
    limiter = Limiter(RateSettings(100, 10))
    for millisecond in range(0, 60_000, 10):
        take(limiter, Priority.HIGH, 1, millisecond / 1000)

    wait = limiter.retry_after(Priority.BULK, 60)

    assert 0 < wait < 1.2


def test_a_message_heavier_than_the_burst_passes_and_the_next_one_pays() -> None:
    limiter = Limiter(RateSettings(rate_per_second=2, burst=5))

    first = take(limiter, Priority.HIGH, 20, 0)
    second = take(limiter, Priority.HIGH, 1, 0)

    assert first == 0
    assert second == pytest.approx((20 - 4) / 2)


def test_a_refusal_consumes_nothing() -> None:
    limiter = Limiter(RateSettings(rate_per_second=1, burst=1))
    take(limiter, Priority.HIGH, 1, 0)

    waits = [take(limiter, Priority.HIGH, 1, 0) for _ in range(10)]

    assert waits == [1.0] * 10


@given(st.integers(1, 5), st.integers(1, 50))
def test_what_is_refunded_can_be_taken_again(cost: int, times: int) -> None:
    limiter = Limiter(RateSettings(rate_per_second=1, burst=5))

    for _ in range(times):
        assert take(limiter, Priority.HIGH, cost, 0) == 0
        limiter.refund(cost)

    assert limiter.retry_after(Priority.HIGH, 0) == 0


def test_equal_shares_make_up_the_whole() -> None:
    share = RateSettings(rate_per_second=100, burst=10).divided(4)

    assert share == RateSettings(rate_per_second=25, burst=2.5)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0.5)])
def test_a_limit_that_lets_nothing_through_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        RateSettings(rate, burst)
