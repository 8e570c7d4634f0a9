from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.test_callback_storage import make_callback, make_delivery
from tests.factories import NOW, later
from wavecom.core.callback_schedule import (
    DELAYS,
    DISABLE_AFTER,
    JITTER,
    LONGEST,
    LONGEST_PAUSE,
    SLOW_AFTER,
    after_answer,
    after_try,
    is_slowed,
)
from wavecom.core.callback_sending import WIDTH
from wavecom.core.callbacks import CallbackState, CallbackTry, DeliveryState, DisabledReason, NoticeKind


def failed(at: float = 0, status: int | None = 503) -> CallbackTry:
    return CallbackTry(later(at), 10, status, "http_503")


def taken(at: float = 0) -> CallbackTry:
    return CallbackTry(later(at), 10, 204)


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_delivery_is_tried_over_most_of_a_day_and_never_after_it(jitter: float) -> None:
    delivery = make_delivery()
    at = NOW
    tries = 0
    while delivery.state is DeliveryState.PENDING:
        delivery = after_try(delivery, CallbackTry(at, 10, 503, "http_503"), jitter)
        tries += 1
        if delivery.due_at is not None:
            assert delivery.due_at > at
            at = delivery.due_at

    assert tries == len(DELAYS) + 1
    assert timedelta(hours=23) < at - NOW <= LONGEST
    assert delivery.state is DeliveryState.FAILED
    assert delivery.due_at is None


def test_chance_makes_a_delay_longer_and_never_shorter() -> None:
    waits = [after_try(make_delivery(), failed(), jitter).due_at for jitter in (0.0, 1.0)]

    assert waits == [NOW + DELAYS[0], NOW + DELAYS[0] * (1 + JITTER)]


def test_a_delivery_that_is_taken_is_done() -> None:
    delivery = after_try(make_delivery(tried=3), taken(), 0.5)

    assert (delivery.state, delivery.due_at, delivery.tried) == (DeliveryState.DELIVERED, None, 4)


def test_a_delivery_that_first_waited_for_a_slowed_endpoint_has_its_whole_day_from_its_first_try_on() -> None:
    late = LONGEST.total_seconds() + 60

    first = after_try(make_delivery(), failed(late), 0.0)
    second = after_try(first, failed(late + 5), 0.0)

    assert (first.state, first.due_at, first.begun_at) == (DeliveryState.PENDING, later(late + 5), later(late))
    assert second.begun_at == later(late)
    assert after_try(second, failed(2 * late), 0.0).state is DeliveryState.FAILED


def test_a_delivery_that_was_tried_before_its_endpoint_was_slowed_has_one_try_after_its_day() -> None:
    delivery = after_try(make_delivery(tried=2), failed(LONGEST.total_seconds() + 60), 0.5)

    assert delivery.state is DeliveryState.FAILED


def test_an_endpoint_is_slowed_after_failures_in_a_row_with_growing_pauses() -> None:
    callback = make_callback()
    pauses, seconds = [], 1.0
    for number in range(1, SLOW_AFTER + 15):
        callback = after_answer(callback, failed(seconds), 0.0)
        assert is_slowed(callback) == (number >= SLOW_AFTER)
        if callback.not_before is not None:
            pauses.append(callback.not_before - later(seconds))
        seconds = ((callback.not_before or later(seconds)) - NOW).total_seconds() + 1

    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=15)
    assert pauses[-1] == LONGEST_PAUSE
    assert callback.failing_since == later(1)


def test_calls_that_were_under_way_at_once_make_the_pause_no_longer() -> None:
    callback = make_callback()
    for _ in range(WIDTH):
        callback = after_answer(callback, failed(1), 0.0)

    assert callback.not_before == later(1 + 15)
    assert after_answer(callback, failed(16), 0.0).not_before == later(16 + 30)


def test_one_event_that_is_taken_ends_the_slowness() -> None:
    callback = make_callback(failures=40, failing_since=NOW, not_before=later(60))

    after = after_answer(callback, taken(61), 0.5)

    assert after == make_callback()
    assert not is_slowed(after)


def test_an_endpoint_that_says_gone_is_disabled_at_once() -> None:
    after = after_answer(make_callback(), failed(1, 410), 0.5)

    assert (after.state, after.disabled_reason, after.disabled_at) == (
        CallbackState.DISABLED,
        DisabledReason.GONE,
        later(1),
    )


def test_an_endpoint_that_has_failed_for_days_is_disabled_and_not_before() -> None:
    callback = make_callback(failures=300, failing_since=NOW)
    last_moment = DISABLE_AFTER.total_seconds()

    assert after_answer(callback, failed(last_moment - 1), 0.5).state is CallbackState.ACTIVE
    after = after_answer(callback, failed(last_moment), 0.5)
    assert (after.state, after.disabled_reason) == (CallbackState.DISABLED, DisabledReason.FAILING)


def test_a_client_is_warned_once_in_a_span_of_failures_and_told_of_its_end() -> None:
    callback = make_callback()
    owed: list[NoticeKind | None] = []
    for hours in (0, 23, 24, 25, 71, 72):
        callback = after_answer(callback, failed(hours * 3600), 0.5)
        owed.append(callback.owed_notice)
        callback = replace(callback, owed_notice=None)

    assert owed == [None, None, NoticeKind.FAILING, None, None, NoticeKind.DISABLED]


def test_an_endpoint_that_is_gone_is_told_of_at_once() -> None:
    assert after_answer(make_callback(), failed(1, 410), 0.5).owed_notice is NoticeKind.DISABLED


def test_a_warning_that_nobody_has_had_is_not_given_once_all_is_well() -> None:
    failing = make_callback(failing_since=NOW, failures=9, warned_at=later(days=1), owed_notice=NoticeKind.FAILING)

    well = after_answer(failing, taken(90_000), 0.5)

    assert (well.warned_at, well.owed_notice) == (None, None)
