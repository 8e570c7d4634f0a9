"""The arithmetic of ``wavecom top``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import NOW
from wavecom.core.lanes import Channel
from wavecom.core.overview import QueueOverview, added_up, oldest_seconds, rate_window, rates_of
from wavecom.core.states import Status


def test_rates_are_taken_over_the_last_whole_minute_and_what_has_passed_of_this_one() -> None:
    now = NOW.replace(second=30, microsecond=0)
    since, before = rate_window(now)
    counts = {
        since: {Channel.SMS: {Status.DELIVERED: 60}},
        since + timedelta(minutes=1): {Channel.SMS: {Status.DELIVERED: 30, Status.FAILED: 9}},
    }

    rates = rates_of(counts, now)

    assert (now - since, before - now) == (timedelta(seconds=90), timedelta(seconds=30))
    assert rates[Channel.SMS] == {Status.DELIVERED: 1.0, Status.FAILED: 0.1}
    assert rates[Channel.EMAIL] == {}


@pytest.mark.parametrize(
    ("waiting", "reached_seconds_ago", "seconds"),
    [(0, None, 0), (0, 50, 0), (3, 50, 50), (3, -1, 0), (3, None, None), (None, 50, None)],
)
def test_nothing_in_a_queue_is_older_than_what_was_taken_from_it_last(
    waiting: int | None, reached_seconds_ago: float | None, seconds: float | None
) -> None:
    reached = None if reached_seconds_ago is None else NOW - timedelta(seconds=reached_seconds_ago)

    assert oldest_seconds(waiting, reached, NOW) == seconds


def test_queues_add_up_to_all_that_waits_the_oldest_and_the_fewest_consumers() -> None:
    parts = [QueueOverview("a", 3, 2, 5.0), QueueOverview("b", 4, 1, 9.0)]

    assert added_up("both", parts) == QueueOverview("both", 7, 1, 9.0, [3, 4])


def test_what_one_of_several_queues_does_not_tell_is_not_known_of_them_all() -> None:
    seen = QueueOverview("a", 3, 2, 5.0)

    assert added_up("all", [seen, QueueOverview("b", 1, 1, None)]) == QueueOverview("all", 4, 1, None, [3, 1])
    assert added_up("all", [seen, QueueOverview("c", None, None, None)]) == QueueOverview(
        "all", None, None, None, [3, None]
    )
