"""Where many threads put items in and one takes them out, a batch at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from wavecom.batching import Window

Item = TypeVar("Item")

#: Company is waited for so much longer where there is a crowd.
CROWD_FACTOR = 1.6


class BatchQueue(Generic[Item]):
    """A queue whose reader waits for company: up to ``window_seconds``, as the rate of arrivals makes it worth."""

    def __init__(self, window_seconds: float, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._window = Window(window_seconds, window_seconds * CROWD_FACTOR)
        self._monotonic = monotonic
        self._sleep = sleep
        self._items: deque[tuple[float, Item]] = deque()
        self._filled = threading.Condition()
        self._is_awaited = False

    def put(self, item: Item) -> None:
        """Put one in; where that raises it is not in."""
        with self._filled:
            self._items.append((self._monotonic(), item))
            if self._is_awaited:
                self._is_awaited = False
                self._filled.notify()

    def take(self, most: int) -> list[Item]:
        """At least one item, at most ``most``, in order of arrival. Waits for the first, then for company.

        Where it raises, nothing was taken.
        """
        with self._filled:
            while not self._items:
                self._is_awaited = True
                self._filled.wait()
        now = self._monotonic()
        pause = self._window.seconds(now)
        if pause > 0 and len(self._items) < most:
            pause -= now - self._items[0][0]
            if pause > 0:
                # Slept through, not waited for: nobody is to be woken by every item that comes meanwhile.
                self._sleep(pause)
        with self._filled:
            count = min(len(self._items), most)
            items = [self._items[position][1] for position in range(count)]
            # From here on nothing is asked of the memory.
            for _ in range(count):
                self._items.popleft()
        self._window.note(len(items), self._monotonic())
        return items
