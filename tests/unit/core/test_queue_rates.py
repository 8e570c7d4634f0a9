"""Rates from counters that are looked at now and then."""

from __future__ import annotations

from wavecom.core.lanes import Channel, Lane, LaneQueue, Priority
from wavecom.core.queue_rates import QueueCounters, QueueRates

SMS = Lane(Channel.SMS, Priority.BULK).queue


def looks(*counters: QueueCounters, every_seconds: float = 10) -> QueueRates:
    rates = QueueRates(window_seconds=30)
    for number, each in enumerate(counters):
        rates.note(number * every_seconds, {SMS: each})
    return rates


def test_rates_are_taken_over_the_window_alone() -> None:
    load = looks(*(QueueCounters(published=100 * n * n, acked=10 * n) for n in range(7))).load(SMS)

    assert load.channel is Channel.SMS
    assert (load.arrivals_per_second, load.acks_per_second) == ((3_600 - 900) / 30, 1)


def test_a_counter_that_begins_anew_counts_what_came_since() -> None:
    load = looks(QueueCounters(published=500), QueueCounters(published=0), QueueCounters(published=40)).load(SMS)

    assert load.arrivals_per_second == 2


def test_one_look_shows_what_waits_and_no_rate() -> None:
    load = looks(QueueCounters(waiting=7, in_hand=3, published=500)).load(SMS)

    assert (load.waiting, load.in_hand, load.arrivals_per_second, load.waited_throughout) == (7, 3, 0, False)


def test_messages_wait_throughout_when_they_did_at_each_look_of_a_whole_window() -> None:
    waiting = [QueueCounters(waiting=1)] * 4

    assert looks(*waiting).load(SMS).waited_throughout
    assert not looks(*waiting[:3]).load(SMS).waited_throughout
    assert not looks(*waiting, QueueCounters(), *waiting[:2]).load(SMS).waited_throughout


def test_a_queue_that_nobody_has_seen_is_empty() -> None:
    assert looks().load(LaneQueue("test")).waiting == 0
    assert looks().consumers([SMS]) == 0


def test_workers_are_the_most_consumers_of_any_queue() -> None:
    rates = QueueRates()
    email = Lane(Channel.EMAIL, Priority.BULK).queue
    rates.note(0, {SMS: QueueCounters(consumers=2), email: QueueCounters(consumers=3)})

    assert rates.consumers([SMS, email]) == 3
