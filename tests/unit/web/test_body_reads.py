"""Bodies under way: each has a deadline, each client a pool, and who stalls makes room for who does not."""

from __future__ import annotations

import pytest

from wavecom.errors import OverloadedError, RequestTimeoutError
from wavecom.web.body_reads import (
    ANONYMOUS,
    GRACE_SECONDS,
    LEAST_BYTES_PER_SECOND,
    RECEIPTS,
    BodyLimits,
    BodyRead,
    BodyReadLimiter,
)


class _Place:
    """A limiter with a clock that the test turns, and what it has given up."""

    def __init__(self, **limits: int) -> None:
        self.now = 1000.0
        self.given_up: list[str] = []
        wanted = {"for_client": 3, "for_anonymous": 2, "in_all": 6} | limits
        self.limiter = BodyReadLimiter(BodyLimits(**wanted), lambda: self.now)

    def begin(self, pool: str, address: str = "10.0.0.1", name: str = "") -> BodyRead:
        label = name or f"{pool or 'stranger'} {self.now:g}"
        read = self.limiter.begin(pool, address, lambda: self.given_up.append(label))
        self.now += 1
        return read


def test_a_body_has_half_a_minute_and_more_the_more_of_it_comes() -> None:
    place = _Place()
    stalled, slow = place.begin("acme", name="stalled"), place.begin("acme", name="slow")

    place.limiter.grow(slow, 10 * LEAST_BYTES_PER_SECOND)
    place.now = 1000 + GRACE_SECONDS - 0.1
    assert place.limiter.give_up_late()
    assert place.given_up == []

    place.now = 1000 + GRACE_SECONDS
    assert place.limiter.give_up_late()
    assert place.given_up == ["stalled"]
    assert isinstance(stalled.refusal, RequestTimeoutError)
    assert "0 bytes in 30 seconds" in str(stalled.refusal)

    place.now = 1001 + GRACE_SECONDS + 10
    assert not place.limiter.give_up_late()
    assert place.given_up == ["stalled", "slow"]


def test_what_is_complete_has_no_deadline() -> None:
    place = _Place()
    read = place.begin("acme")

    place.limiter.complete(read)
    place.now += 10 * GRACE_SECONDS

    assert not place.limiter.give_up_late()
    assert place.given_up == []


def test_a_full_pool_gives_up_the_one_that_has_least_time_left() -> None:
    place = _Place()
    first = place.begin("acme", name="first")
    place.begin("acme", name="second")
    place.begin("acme", name="third")
    place.limiter.grow(first, 5 * LEAST_BYTES_PER_SECOND)

    place.begin("acme", name="fourth")

    assert place.given_up == ["second"]


def test_of_the_address_that_has_most_of_them() -> None:
    place = _Place(for_anonymous=3)
    place.begin(ANONYMOUS, "10.0.0.9", "an operator's")
    place.begin(ANONYMOUS, "10.0.0.1", "one")
    place.begin(ANONYMOUS, "10.0.0.1", "two")

    place.begin(ANONYMOUS, "10.0.0.1", "three")

    assert place.given_up == ["one"]


def test_nobody_takes_anothers_place() -> None:
    place = _Place()
    for _ in range(20):
        place.begin(ANONYMOUS)
        place.begin("acme")

    place.begin("other")

    assert len(place.given_up) == 20 - 2 + 20 - 3
    assert not any(label.startswith("other") for label in place.given_up)


def test_when_all_places_are_taken_the_fullest_pool_makes_room() -> None:
    place = _Place(in_all=5)
    for pool in ("acme", "acme", "acme", "other", ANONYMOUS):
        place.begin(pool)

    place.begin("third")

    assert place.given_up == ["acme 1000"]


def test_bytes_are_held_until_the_request_is_over() -> None:
    place = _Place(bytes_for_client=100, bytes_in_all=150)
    first = place.begin("acme")
    place.limiter.grow(first, 90)
    place.limiter.complete(first)

    second = place.begin("acme")
    with pytest.raises(OverloadedError):
        place.limiter.grow(second, 20)
    place.limiter.release(second)
    other = place.begin("other")
    with pytest.raises(OverloadedError):
        place.limiter.grow(other, 70)
    place.limiter.release(other)

    place.limiter.release(first)
    place.limiter.grow(place.begin("acme"), 100)


def test_receipts_hold_fewer_bytes_than_a_client_and_leave_room_for_it() -> None:
    place = _Place(bytes_for_client=100, bytes_for_receipts=50, bytes_in_all=150)
    full = place.begin(RECEIPTS)
    place.limiter.grow(full, 50)
    place.limiter.complete(full)

    with pytest.raises(OverloadedError):
        place.limiter.grow(place.begin(RECEIPTS), 1)
    place.limiter.grow(place.begin("acme"), 99)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]])
def test_bodies_that_hold_back_their_last_byte_shut_no_receipt_out(addresses: list[str]) -> None:
    place = _Place(bytes_for_receipts=48, for_client=100, in_all=100)
    for number in range(3):
        place.limiter.grow(place.begin(RECEIPTS, addresses[number % len(addresses)], f"stalled {number}"), 16)

    receipt = place.begin(RECEIPTS, addresses[0], "receipt")
    place.limiter.grow(receipt, 2)

    assert place.given_up == ["stalled 0"]
    assert receipt.refusal is None


def test_who_is_in_the_way_himself_is_refused() -> None:
    place = _Place(bytes_for_receipts=48)
    place.limiter.grow(place.begin(RECEIPTS, "10.0.0.2"), 2)

    with pytest.raises(OverloadedError):
        place.limiter.grow(place.begin(RECEIPTS, "10.0.0.1"), 48)
    assert place.given_up == []


def test_when_all_bytes_are_held_the_pool_that_awaits_most_of_them_makes_room() -> None:
    place = _Place(bytes_for_client=100, bytes_for_receipts=100, bytes_in_all=150)
    place.limiter.grow(place.begin(RECEIPTS, name="stalled"), 90)
    place.limiter.grow(place.begin("acme"), 50)

    place.limiter.grow(place.begin("other"), 40)

    assert place.given_up == ["stalled"]


def test_the_bytes_of_what_is_given_up_are_counted_no_more_and_not_twice() -> None:
    place = _Place(bytes_for_receipts=48)
    stalled = place.begin(RECEIPTS)
    place.limiter.grow(stalled, 48)
    second = place.begin(RECEIPTS)
    place.limiter.grow(second, 40)
    place.limiter.complete(second)
    place.limiter.release(stalled)

    with pytest.raises(OverloadedError):
        place.limiter.grow(place.begin(RECEIPTS), 9)


def test_what_is_given_up_leaves_nothing_behind() -> None:
    place = _Place(bytes_for_client=100)
    for _ in range(50):
        read = place.begin("acme")
        place.limiter.grow(read, 100)
        place.now += 2 * GRACE_SECONDS
        assert not place.limiter.give_up_late()
        place.limiter.release(read)

    assert len(place.given_up) == 50


def test_what_was_given_up_may_be_released_after_all_others() -> None:
    place = _Place(for_client=1)
    first = place.begin("acme", name="first")
    second = place.begin("acme", name="second")
    assert place.given_up == ["first"]

    place.limiter.release(second)
    # A part of it may still have been on its way.
    place.limiter.grow(first, 10)
    place.limiter.release(first)

    third = place.begin("acme", name="third")
    assert place.given_up == ["first"]
    place.limiter.release(third)
