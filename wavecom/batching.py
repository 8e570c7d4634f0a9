"""Group commit: many threads' single calls become one batched call.

What costs on this stack is a round trip, not an item (facts/performance.md): one ``insert_many`` of 50 documents is
hardly dearer than one of one. So threads that want the same thing at about the same time put their items together,
one of them (the leader) makes the call for all, and each gets the result of its own item.

There is no thread of its own behind it: a lone caller leads at once, on its own thread, and pays nothing. While a
flush runs, later callers gather and form the next batch. Under load a leader additionally waits a moment for
company (the window): without it a batch holds what came during the last flush, three or so, and costs three times as
much CPU as one of ten. The window grows with the batches, is bounded, counts from the first caller's arrival, ends when
there is company enough, and is zero when calls come one at a time.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Batches no larger than this come about by chance: a call now and then must not be taxed.
_QUIET_BATCH = 2.0
#: From this size on the whole window is waited for.
_BUSY_BATCH = 6.0
#: And from this size on what there may be beyond it.
_CROWDED_BATCH = 16.0
#: With so many a batch is about as cheap per item as it gets (docs/performance.md): they wait for nobody else.
_COMPANY_ENOUGH = 48


class Window:
    """How long to wait for company before the next batch, learned from the sizes of the last ones. Not thread-safe.

    ``crowded_seconds`` is for batches that are large all the time; at least ``most_seconds``, and by default no more.
    """

    def __init__(self, most_seconds: float, crowded_seconds: float | None = None) -> None:
        self._most_seconds = most_seconds
        self._beyond_seconds = (crowded_seconds or most_seconds) - most_seconds
        #: Moving average of the batch sizes: the sign of load that the window follows.
        self._usual_batch = 1.0

    def note(self, size: int) -> None:
        """A batch of ``size`` has been made."""
        self._usual_batch += (size - self._usual_batch) / 4

    def seconds(self) -> float:
        """From the arrival of a batch's first item to the batch; 0 while items come one at a time."""
        load = (self._usual_batch - _QUIET_BATCH) / (_BUSY_BATCH - _QUIET_BATCH)
        if load < 1:
            return self._most_seconds * max(0.0, load)
        crowd = (self._usual_batch - _BUSY_BATCH) / (_CROWDED_BATCH - _BUSY_BATCH)
        return self._most_seconds + self._beyond_seconds * min(1.0, crowd)


class _Entry(Generic[Item, Result]):
    """One caller's item and where its result goes. ``ready`` is locked until there is a result or a lead to take."""

    __slots__ = ("arrived_at", "error", "is_done", "item", "ready", "result")

    def __init__(self, item: Item, arrived_at: float) -> None:
        self.item = item
        self.arrived_at = arrived_at
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
        enough: int = _COMPANY_ENOUGH,
        wait: Callable[[threading.Lock, float], bool] = lambda lock, seconds: lock.acquire(timeout=seconds),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._window = Window(max_window_seconds)
        self._enough = min(enough, max_batch)
        self._wait = wait
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._is_led = False
        #: Locked; let go by the caller that makes company enough for a leader who waits for it.
        self._gathered = threading.Lock()
        self._gathered.acquire()
        self._is_gathering = False

    def submit(self, item: Item) -> Result:
        """Hand over one item; returns its result when the batch that holds it has been flushed."""
        entry: _Entry[Item, Result] = _Entry(item, self._monotonic())
        with self._lock:
            self._waiting.append(entry)
            leads = not self._is_led
            self._is_led = True
            if self._is_gathering and len(self._waiting) >= self._enough:
                self._is_gathering = False
                self._gathered.release()
        if not leads:
            entry.ready.acquire()
        if not entry.is_done:
            self._lead()
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # set whenever there is no error

    def _lead(self) -> None:
        """Flush the batch at the head of the queue (the caller's own entry is in it), then hand the lead on."""
        pause = self._pause()
        if pause > 0:
            self._gather(pause)
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
        self._window.note(len(batch))
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

    def _gather(self, seconds: float) -> None:
        """Wait for company enough, at most so long."""
        with self._lock:
            if len(self._waiting) >= self._enough:
                return
            self._is_gathering = True
        if self._wait(self._gathered, seconds):
            return
        with self._lock:
            if self._is_gathering:
                self._is_gathering = False
                return
        # It was let go in this very moment.
        self._gathered.acquire()

    def _pause(self) -> float:
        """What is left of the window, counted from when the first caller came."""
        window = self._window.seconds()
        if window == 0:
            return 0.0
        return window - (self._monotonic() - self._waiting[0].arrived_at)
