"""A queue from which one thread takes what many put in, in batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from wavecom.batching import Window

Item = TypeVar("Item")

#: How much longer than the window a batch is waited for under high load: see ``wavecom.batching.Window``.
CROWDED_WINDOW_FACTOR = 1.6


class BatchQueue(Generic[Item]):
    """A queue of many writers and one reader, who waits up to ``window_seconds`` for a batch to fill.

    How long, follows the rate of arrivals. ``put`` is thread-safe.
    """

    def __init__(self, window_seconds: float, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._window = Window(window_seconds, window_seconds * CROWDED_WINDOW_FACTOR)
        self._monotonic = monotonic
        self._sleep = sleep
        self._items: deque[tuple[float, Item]] = deque()
        self._filled = threading.Condition()
        self._is_reader_waiting = False

    def put(self, item: Item) -> None:
        """Add an item. Where this raises, it was not added."""
        with self._filled:
            self._items.append((self._monotonic(), item))
            if self._is_reader_waiting:
                self._is_reader_waiting = False
                self._filled.notify()

    def take(self, limit: int) -> list[Item]:
        """Remove 1 to ``limit`` items, in order of arrival. Waits for the first, then for the batch to fill.

        Where this raises, nothing was removed.
        """
        with self._filled:
            while not self._items:
                self._is_reader_waiting = True
                self._filled.wait()
        now = self._monotonic()
        pause = self._window.seconds(now)
        if pause > 0 and len(self._items) < limit:
            pause -= now - self._items[0][0]
            if pause > 0:
                # A sleep and no wait on the condition, which would wake this thread for every item that comes.
                self._sleep(pause)
        with self._filled:
            count = min(len(self._items), limit)
            items = [self._items[position][1] for position in range(count)]
            # From here on nothing allocates, so that nothing can raise.
            for _ in range(count):
                self._items.popleft()
        self._window.note(len(items), self._monotonic())
        return items
