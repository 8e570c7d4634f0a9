"""A reader waits no longer than the gap for what comes in bursts."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from wavecom.batching import BatchQueue

WINDOW_SECONDS = 0.025
GAP_SECONDS = 0.004


class Arrivals:
    """A clock whose waits pass at once; what is due meanwhile is put into the queue at its time."""

    def __init__(self, gap_seconds: float) -> None:
        self.now = 100.0
        self.waits = 0
        self.due: list[tuple[float, int]] = []
        self.queue: BatchQueue[int] = BatchQueue(
            WINDOW_SECONDS, lambda: self.now, gap_seconds=gap_seconds, wait=self._wait
        )
        # Much comes, so that the whole window is open.
        for _ in range(50):
            self.put(range(20))
            self.queue.take(100)
            self.now += 0.01

    def put(self, items: Sequence[int]) -> None:
        for item in items:
            self.queue.put(item)

    def burst(self, milliseconds: Sequence[float]) -> tuple[list[int], float]:
        """What is taken together of items that come so long after the first, and when, in ms after the first came."""
        began, self.waits = self.now, 0
        self.due = [(began + each / 1_000, number) for number, each in enumerate(milliseconds, 1)]
        self.queue.put(0)
        taken = self.queue.take(100)
        return taken, round(1_000 * (self.now - began), 3)

    def _wait(self, hurry: threading.Lock, seconds: float) -> bool:
        self.waits += 1
        ends_at = self.now + seconds
        while self.due and self.due[0][0] <= ends_at:
            self.now, item = self.due.pop(0)
            self.queue.put(item)
        self.now = ends_at
        return hurry.acquire(blocking=False)


def take(milliseconds: Sequence[float], gap_seconds: float = GAP_SECONDS) -> tuple[list[int], float]:
    return Arrivals(gap_seconds).burst(milliseconds)


def test_nothing_more_is_waited_for_once_nothing_has_come_for_the_gap() -> None:
    assert take([1, 2, 3, 20]) == ([0, 1, 2, 3], 7)


def test_each_that_comes_within_the_gap_is_waited_after_up_to_the_end_of_the_window() -> None:
    taken, after_ms = take(range(3, 90, 3))
    # Longer than the window by the rate: see ``CROWDED_WINDOW_FACTOR``.
    assert 25 <= after_ms <= 40
    assert taken == list(range(1 + int(after_ms / 3)))


def test_without_a_gap_the_whole_window_is_waited_for() -> None:
    taken, after_ms = take([1, 2, 20], gap_seconds=float("inf"))
    assert taken == [0, 1, 2, 3]
    assert 25 <= after_ms <= 40


def test_the_reader_looks_as_seldom_as_the_gap_allows() -> None:
    arrivals = Arrivals(GAP_SECONDS)
    arrivals.burst([each / 10 for each in range(1, 100)])
    assert arrivals.waits <= 4, "each item woke the reader"
