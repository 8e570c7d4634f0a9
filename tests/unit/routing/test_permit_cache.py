from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavecom.routing.permit_cache import BATCH_SECONDS, KEEP_SECONDS, PermitCache


def fetch(cache: PermitCache, now: float) -> int:
    """A batch as large as planned, of which one permit is used at once; answers its size."""
    cache.plan(now)
    cache.fill(1 + cache.ahead, 1, now)
    return 1 + cache.ahead


def calls(cache: PermitCache, rate: float, seconds: float) -> int:
    """One call after the other at ``rate``; answers how many trips they cost."""
    trips = 0
    for number in range(int(rate * seconds)):
        now = 1000 + number / rate
        if not cache.take(1, now):
            fetch(cache, now)
            trips += 1
    return trips


def test_the_first_call_fetches_nothing_ahead() -> None:
    assert fetch(PermitCache(most_ahead=100), 1000) == 1


def test_under_load_one_trip_serves_many_calls() -> None:
    cache = PermitCache(most_ahead=100)

    trips = calls(cache, rate=800, seconds=5)

    assert trips < 5 / BATCH_SECONDS + 10


def test_a_slow_trickle_fetches_one_by_one() -> None:
    cache = PermitCache(most_ahead=100)

    trips = calls(cache, rate=4, seconds=10)

    assert trips == 40
    assert cache.ahead == 0


@given(st.integers(0, 50), st.floats(1, 5000), st.floats(0.01, 0.5))
def test_a_batch_is_never_larger_than_it_may_be(most: int, rate: float, seconds: float) -> None:
    cache = PermitCache(most_ahead=most)

    calls(cache, rate, seconds)

    assert cache.ahead <= most


def test_permits_that_are_not_used_in_time_are_lost_and_the_next_batch_is_smaller() -> None:
    cache = PermitCache(most_ahead=100)
    cache.ahead = 50
    cache.fill(51, 1, 1000)
    cache.take(10, 1000.1)

    is_there = cache.take(1, 1000 + KEEP_SECONDS)
    cache.plan(1000 + KEEP_SECONDS)

    assert not is_there
    assert cache.permits == 0
    assert cache.ahead == 10


def test_permits_put_back_can_be_taken_again() -> None:
    cache = PermitCache(most_ahead=0)
    cache.fill(1, 1, 1000)

    cache.put_back(1, 1000.1)

    assert cache.take(1, 1000.1)


def test_permits_put_back_too_late_are_lost() -> None:
    cache = PermitCache(most_ahead=0)
    cache.fill(1, 1, 1000)

    cache.put_back(1, 1000 + KEEP_SECONDS)

    assert cache.permits == 0


def test_a_surplus_is_paid_from_the_stock_and_the_rest_is_owed() -> None:
    cache = PermitCache(most_ahead=0)
    cache.fill(4, 1, 1000)

    owed = cache.spend(5, 1000)

    assert owed == 2
    assert cache.permits == 0


def test_a_refusal_is_believed_for_a_moment_but_its_promise_is_kept() -> None:
    cache = PermitCache(most_ahead=0)

    cache.refuse("rate_limit", 5, 1000)

    assert cache.knows_refusal(1000.05)
    assert not cache.knows_refusal(1000.2)
    assert cache.wait_seconds(1002) == 3
    assert cache.wait_seconds(1006) == 0


def test_a_short_refusal_is_not_believed_beyond_its_promise() -> None:
    cache = PermitCache(most_ahead=0)

    cache.refuse("rate_limit", 0.005, 1000)

    assert cache.knows_refusal(1000.004)
    assert not cache.knows_refusal(1000.006)
