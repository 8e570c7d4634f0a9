from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavecom.routing.stock import BATCH_SECONDS, KEEP_SECONDS, Stock


def fetch(stock: Stock, now: float) -> int:
    """A batch as large as planned, of which one permit is used at once; answers its size."""
    stock.plan(now)
    stock.fill(1 + stock.ahead, 1, now)
    return 1 + stock.ahead


def calls(stock: Stock, rate: float, seconds: float) -> int:
    """One call after the other at ``rate``; answers how many trips they cost."""
    trips = 0
    for number in range(int(rate * seconds)):
        now = 1000 + number / rate
        if not stock.take(1, now):
            fetch(stock, now)
            trips += 1
    return trips


def test_the_first_call_fetches_nothing_ahead() -> None:
    assert fetch(Stock(most_ahead=100), 1000) == 1


def test_under_load_one_trip_serves_many_calls() -> None:
    stock = Stock(most_ahead=100)

    trips = calls(stock, rate=800, seconds=5)

    assert trips < 5 / BATCH_SECONDS + 10


def test_a_slow_trickle_fetches_one_by_one() -> None:
    stock = Stock(most_ahead=100)

    trips = calls(stock, rate=4, seconds=10)

    assert trips == 40
    assert stock.ahead == 0


@given(st.integers(0, 50), st.floats(1, 5000), st.floats(0.01, 0.5))
def test_a_batch_is_never_larger_than_it_may_be(most: int, rate: float, seconds: float) -> None:
    stock = Stock(most_ahead=most)

    calls(stock, rate, seconds)

    assert stock.ahead <= most


def test_permits_that_are_not_used_in_time_are_lost_and_the_next_batch_is_smaller() -> None:
    stock = Stock(most_ahead=100)
    stock.ahead = 50
    stock.fill(51, 1, 1000)
    stock.take(10, 1000.1)

    is_there = stock.take(1, 1000 + KEEP_SECONDS)
    stock.plan(1000 + KEEP_SECONDS)

    assert not is_there
    assert stock.permits == 0
    assert stock.ahead == 10


def test_permits_put_back_can_be_taken_again() -> None:
    stock = Stock(most_ahead=0)
    stock.fill(1, 1, 1000)

    stock.put_back(1, 1000.1)

    assert stock.take(1, 1000.1)


def test_permits_put_back_too_late_are_lost() -> None:
    stock = Stock(most_ahead=0)
    stock.fill(1, 1, 1000)

    stock.put_back(1, 1000 + KEEP_SECONDS)

    assert stock.permits == 0


def test_a_surplus_is_paid_from_the_stock_and_the_rest_is_owed() -> None:
    stock = Stock(most_ahead=0)
    stock.fill(4, 1, 1000)

    owed = stock.spend(5, 1000)

    assert owed == 2
    assert stock.permits == 0


def test_a_refusal_is_believed_for_a_moment_but_its_promise_is_kept() -> None:
    stock = Stock(most_ahead=0)

    stock.refuse("rate_limit", 5, 1000)

    assert stock.believes_refusal(1000.05)
    assert not stock.believes_refusal(1000.2)
    assert stock.wait_seconds(1002) == 3
    assert stock.wait_seconds(1006) == 0


def test_a_short_refusal_is_not_believed_beyond_its_promise() -> None:
    stock = Stock(most_ahead=0)

    stock.refuse("rate_limit", 0.005, 1000)

    assert stock.believes_refusal(1000.004)
    assert not stock.believes_refusal(1000.006)
