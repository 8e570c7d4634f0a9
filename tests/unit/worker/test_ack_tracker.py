from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wavecom.worker.ack_tracker import Ack, AckTracker


class CeleryMessage:
    def __init__(self) -> None:
        self.acknowledged = False


def tracker_of(*tags: int) -> AckTracker:
    tracker = AckTracker()
    for tag in tags:
        tracker.receive(tag)
    return tracker


def test_what_is_done_from_the_start_on_takes_one_frame() -> None:
    tracker = tracker_of(1, 2, 3, 4)

    assert tracker.settle([3, 1, 2]) == [Ack(3, is_multiple=True)]
    assert tracker.settle([4]) == [Ack(4, is_multiple=False)]
    assert len(tracker) == 0


def test_a_message_still_worked_on_is_never_acknowledged_with_later_ones() -> None:
    tracker = tracker_of(1, 2, 3, 4, 5)

    assert tracker.settle([1, 3, 5]) == [
        Ack(3, is_multiple=False),
        Ack(5, is_multiple=False),
        Ack(1, is_multiple=False),
    ]
    assert tracker.settle([2, 4]) == [Ack(4, is_multiple=True)]


def test_a_message_that_celery_answers_is_never_acknowledged_for_it() -> None:
    tracker, tick = AckTracker(), CeleryMessage()
    tracker.receive(1)
    tracker.receive_celery_message(2, tick)
    tracker.receive(3)
    tracker.receive(4)

    assert tracker.settle([1, 3]) == [Ack(3, is_multiple=False), Ack(1, is_multiple=False)]
    tick.acknowledged = True
    tracker.receive(5)
    assert tracker.settle([4, 5]) == [Ack(5, is_multiple=True)]


def test_messages_that_celery_has_answered_are_forgotten_even_if_no_other_ever_comes() -> None:
    tracker = AckTracker()

    for tag in range(1, 1001):
        tick = CeleryMessage()
        tracker.receive_celery_message(tag, tick)
        tick.acknowledged = True

    assert len(tracker) == 1


def test_a_message_is_answered_once() -> None:
    tracker = tracker_of(1, 2)

    assert tracker.drop(1)
    assert not tracker.drop(1)
    assert tracker.settle([1]) == []
    assert tracker.settle([2, 2]) == [Ack(2, is_multiple=False)]


@given(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(1, n)), st.permutations(range(n))))
)
def test_in_whatever_order_messages_end_each_is_acknowledged_exactly_once(
    drawn: tuple[int, set[int], list[int]],
) -> None:
    count, foreign_tags, order = drawn
    tracker = AckTracker()
    foreign = {tag: CeleryMessage() for tag in foreign_tags}
    for tag in range(1, count + 1):
        if tag in foreign:
            tracker.receive_celery_message(tag, foreign[tag])
        else:
            tracker.receive(tag)
    unanswered = set(range(1, count + 1))
    ended = [number + 1 for number in order]

    while ended:
        batch, ended = set(ended[:7]), ended[7:]
        for tag in batch & foreign_tags:
            foreign[tag].acknowledged = True
            unanswered.remove(tag)
        acknowledged: set[int] = set()
        for ack in tracker.settle(batch - foreign_tags):
            assert ack.tag in unanswered
            covered = {tag for tag in unanswered if tag <= ack.tag} if ack.is_multiple else {ack.tag}
            acknowledged |= covered
            unanswered -= covered
        assert acknowledged == batch - foreign_tags

    assert unanswered == set()
