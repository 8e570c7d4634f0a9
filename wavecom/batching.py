"""Group commit: many threads' single calls become one batched call.

What costs on this stack is a round trip, not an item (facts/performance.md): one ``insert_many`` of 50 documents is
hardly dearer than one of one. So threads that want the same thing at about the same time put their items together,
one of them (the leader) makes the call for all, and each gets the result of its own item.

There is no thread of its own behind it: a lone caller leads at once, on its own thread, and pays nothing. While a
flush runs, later callers gather and form the next batch. Under load a leader additionally waits a moment for
company (the window); it grows with the rate, is bounded, and is zero when calls come one at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Below this many items a batch is not worth waiting for: a call now and then must not be taxed.
_BUSY_BATCH = 3


class _Entry(Generic[Item, Result]):
    """One caller's item and where its result goes. ``ready`` is locked until there is a result or a lead to take."""

    __slots__ = ("error", "is_done", "item", "ready", "result")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.ready = threading.Lock()
        self.ready.acquire()
        self.is_done = False
        self.result: Result | None = None
        self.error: BaseException | None = None


class GroupCommit(Generic[Item, Result]):
    """Batches concurrent ``submit`` calls.

    ``flush(items)`` gets at most ``max_batch`` items in order of arrival and answers one result for each, in order; a
    result that is an exception is raised in its caller. When ``flush`` itself raises, every caller of that batch gets
    that error. Flushes never overlap.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int = 200,
        max_window_seconds: float = 0.02,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._max_window_seconds = max_window_seconds
        self._sleep = sleep
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._is_led = False
        #: Moving average of the batch sizes: the sign of load that the window follows.
        self._usual_batch = 1.0

    def submit(self, item: Item) -> Result:
        """Hand over one item; returns its result when the batch that holds it has been flushed."""
        entry: _Entry[Item, Result] = _Entry(item)
        with self._lock:
            self._waiting.append(entry)
            leads = not self._is_led
            self._is_led = True
        if not leads:
            entry.ready.acquire()
        if not entry.is_done:
            self._lead()
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # set whenever there is no error

    def _lead(self) -> None:
        """Flush the batch at the head of the queue (the caller's own entry is in it), then hand the lead on."""
        window = self._window()
        if window > 0:
            self._sleep(window)
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
        self._usual_batch += (len(batch) - self._usual_batch) / 4
        try:
            self._run(batch)
        finally:
            with self._lock:
                follower = self._waiting[0] if self._waiting else None
                self._is_led = follower is not None
            for entry in batch:
                entry.is_done = True
                entry.ready.release()
            if follower is not None:
                follower.ready.release()

    def _run(self, batch: list[_Entry[Item, Result]]) -> None:
        try:
            results = self._flush([entry.item for entry in batch])
            for entry, result in zip(batch, results, strict=True):
                if isinstance(result, Exception):
                    entry.error = result
                else:
                    entry.result = result
        except BaseException as error:
            for entry in batch:
                entry.error = error
            if not isinstance(error, Exception):
                raise

    def _window(self) -> float:
        if self._usual_batch < _BUSY_BATCH:
            return 0.0
        return min(self._max_window_seconds, 0.001 * self._usual_batch)
