"""What is urgent waits for no batch to fill."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.batches import Gathering, Waits, commit_under_load
from wavecom.batching import BatchQueue


def test_what_is_urgent_takes_all_who_wait_with_it_at_once() -> None:
    flush, waits = Gathering(), Waits()
    commit = commit_under_load(flush, waits, most_at_once=20)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commit.submit, 1)
        second = pool.submit(commit.submit, 2)
        while commit.waiting < 2:
            threading.Event().wait(0.001)
        urgent = pool.submit(commit.submit, 3, is_urgent=True)

        assert [future.result(10) for future in (first, second, urgent)] == [10, 20, 30]
    assert [sorted(batch) for batch in flush.batches] == [[1, 2, 3]]
    assert waits.were_worth_it == [True]


def test_what_is_urgent_and_first_waits_for_nobody_and_hurries_nobody_after_it() -> None:
    flush, waits = Gathering(), Waits(patience_seconds=0.001)
    commit = commit_under_load(flush, waits, most_at_once=20)

    assert commit.submit(1, is_urgent=True) == 10
    assert waits.were_worth_it == []

    assert commit.submit(2) == 20
    assert waits.were_worth_it == [False]


def test_what_is_urgent_and_comes_during_a_flush_is_flushed_right_after_it() -> None:
    flush = Gathering()
    commit = commit_under_load(flush, lambda _lock, _seconds: pytest.fail("it waited"), most_at_once=20)

    flush.may_run.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(commit.submit, 1, is_urgent=True)
        assert flush.running.wait(10)
        second = pool.submit(commit.submit, 2, is_urgent=True)
        while commit.waiting < 1:
            threading.Event().wait(0.001)
        flush.may_run.set()

        assert (first.result(10), second.result(10)) == (10, 20)


def queue_under_load(waits: Callable[[threading.Lock, float], bool]) -> BatchQueue[int]:
    """One with a window of a minute, whose reader waits for the whole of it."""
    queue: BatchQueue[int] = BatchQueue(60, lambda: 0.0, wait=waits)
    queue.put(0)
    queue.take(1)
    for item in range(1000):
        queue.put(item)
    queue.take(1000)
    return queue


def test_a_reader_waits_for_a_batch_to_fill_until_something_urgent_comes() -> None:
    waits = Waits()
    queue = queue_under_load(waits)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(queue.take, 100)
        queue.put(1)
        queue.put(2)
        assert not batch.done()
        queue.put(3, is_urgent=True)

        assert batch.result(10) == [1, 2, 3]


def test_an_urgent_item_that_is_there_already_is_waited_with_for_nobody() -> None:
    waits = Waits(patience_seconds=0.001)
    queue = queue_under_load(waits)
    waits.were_worth_it.clear()

    for item in range(3):
        queue.put(item, is_urgent=item == 2)

    assert queue.take(2) == [0, 1], "the urgent one is the third"
    assert queue.take(2) == [2]
    assert waits.were_worth_it == []
    queue.put(3)
    assert queue.take(2) == [3]
    assert waits.were_worth_it == [False]
