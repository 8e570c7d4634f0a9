"""Group commit: single calls from many callers become one batched call.

What costs on this stack is a round trip, not an item (docs/performance.md): one ``insert_many`` of 50 documents is
hardly dearer than one of one. So callers that want the same thing at about the same time put their items together,
one of them (the leader) makes the call for all, and each gets the result of its own item.

Threads call ``submit``, which waits for the result; a lone thread leads at once and pays nothing. An event loop calls
``enqueue``, which does not wait: for its items a thread of the group commit's own leads. While a flush runs, later
callers gather and form the next batch. Under load a leader additionally waits a moment for more items (the window):
without it a batch holds what came during the last flush, three or so, and costs three times as much CPU as one of ten.
The window grows with the rate of arrivals, is bounded, counts from the first item's arrival and ends when the batch is
full: at the highest number of callers that were ever here at once, because whoever sends the next item when the last
is answered would otherwise be waited for in vain. What is urgent waits for nobody: its batch is made at once, of all
that wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Where a whole window would gather no more than this, a call now and then must not be taxed.
_QUIET_BATCH = 2.0
#: From this size on the whole window is waited for.
_BUSY_BATCH = 6.0
#: And from this size on what there may be beyond it.
_CROWDED_BATCH = 16.0
#: With so many a batch is about as cheap per item as it gets (docs/performance.md): it waits for nobody else.
_FULL_BATCH = 48

#: A pause between batches weighs as one of this length, or as several: after a quiet hour a burst is to be noticed at
#: once, and after a burst the quiet.
_LONGEST_PAUSE_SECONDS = 0.05
_REMEMBERED_BATCHES = 8

#: A rest of a window that is not worth going to sleep for.
_SHORTEST_PAUSE_SECONDS = 0.0001

#: How much longer than the window a batch is waited for under high load: see ``BatchWindow``.
CROWDED_WINDOW_FACTOR = 1.6


class BatchWindow:
    """How long a batch waits for more items, learned from the rate of arrivals. Not thread-safe.

    ``crowded_seconds`` is for batches that are large all the time; at least ``most_seconds``, and by default no more.
    From the rate, not from the batches that came about: those are small because nobody waits.
    """

    def __init__(self, most_seconds: float, crowded_seconds: float | None = None) -> None:
        self._most_seconds = most_seconds
        self._beyond_seconds = (crowded_seconds or most_seconds) - most_seconds
        #: Moving averages of the batches' sizes and of the seconds between them: together the rate.
        self._size = 1.0
        self._between_seconds = _LONGEST_PAUSE_SECONDS
        self._noted_at = float("-inf")

    def note(self, size: int, now: float) -> None:
        """A batch of ``size`` has been made; ``now``: monotonic seconds."""
        pauses = max(1.0, (now - self._noted_at) / _LONGEST_PAUSE_SECONDS)
        between = min(_LONGEST_PAUSE_SECONDS, now - self._noted_at)
        weight = min(1.0, pauses / _REMEMBERED_BATCHES)
        self._size += (size / pauses - self._size) * weight
        self._between_seconds += (between - self._between_seconds) * weight
        self._noted_at = now

    def seconds(self, now: float) -> float:
        """From the arrival of a batch's first item to the batch; 0 while so few come that it is not worth it."""
        if now - self._noted_at > _REMEMBERED_BATCHES * _LONGEST_PAUSE_SECONDS:
            return 0.0
        batch = 1 + self._most_seconds * self._size / max(1e-6, self._between_seconds)
        load = (batch - _QUIET_BATCH) / (_BUSY_BATCH - _QUIET_BATCH)
        if load < 1:
            return self._most_seconds * max(0.0, load)
        share = (batch - _BUSY_BATCH) / (_CROWDED_BATCH - _BUSY_BATCH)
        return self._most_seconds + self._beyond_seconds * min(1.0, share)


class ConcurrencyPeak:
    """The highest number of callers that were here at once, ``most``. Not thread-safe."""

    def __init__(self) -> None:
        self._present = 0
        self.most = 1

    def enter(self) -> None:
        """One more caller is here."""
        self._present += 1
        self.most = max(self.most, self._present)

    def leave(self, count: int) -> None:
        """So many have their results."""
        self._present -= count

    def decay(self) -> None:
        """A batch waited for as many as ``most`` in vain: halve what is expected beyond those who are here."""
        self.most = self._present + (self.most - self._present) // 2


class _Entry(Generic[Item, Result]):
    """One caller's item and where its result goes.

    Of a caller that does not wait: to ``on_done``. Of a thread: ``ready`` is locked until there is a result, or the
    lead for the thread to take; ``next`` is the entry whose thread it wakes when it has been woken itself.
    """

    __slots__ = ("arrived_at", "error", "is_done", "is_urgent", "item", "next", "on_done", "ready", "result")

    def __init__(
        self,
        item: Item,
        arrived_at: float,
        is_urgent: bool,
        on_done: Callable[[Result | BaseException], None] | None = None,
    ) -> None:
        self.item = item
        self.arrived_at = arrived_at
        self.is_urgent = is_urgent
        self.on_done = on_done
        self.ready = threading.Lock()
        self.ready.acquire()
        self.is_done = False
        self.next: _Entry[Item, Result] | None = None
        self.result: Result | None = None
        self.error: BaseException | None = None


class GroupCommit(Generic[Item, Result]):
    """Batches concurrent ``submit`` and ``enqueue`` calls.

    ``flush(items)`` gets at most ``max_batch`` items in order of arrival and answers one result for each, in order; a
    result that is an exception is raised in its caller. When ``flush`` itself raises, every caller of that batch gets
    that error. Flushes never overlap. ``window`` and ``peak`` begin with what was learned before.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int = 200,
        max_window_seconds: float = 0.02,
        full_batch: int = _FULL_BATCH,
        wait: Callable[[threading.Lock, float], bool] = lambda lock, seconds: lock.acquire(timeout=seconds),
        monotonic: Callable[[], float] = time.monotonic,
        window: BatchWindow | None = None,
        peak: ConcurrencyPeak | None = None,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._window = window or BatchWindow(max_window_seconds)
        self._full_batch = min(full_batch, max_batch)
        self._wait = wait
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._waiting: deque[_Entry[Item, Result]] = deque()
        self._is_led = False
        self._peak = peak or ConcurrencyPeak()
        #: Locked; released by the caller whose item fills the batch of a leader who waits for that.
        self._filled = threading.Lock()
        self._filled.acquire()
        self._is_gathering = False
        #: Something urgent waits.
        self._is_urgent = False
        #: Leads for callers that do not wait. ``_lead_wanted`` is locked but when it is to lead.
        self._thread: threading.Thread | None = None
        self._lead_wanted = threading.Lock()
        self._lead_wanted.acquire()

    @property
    def waiting(self) -> int:
        """How many items wait for their batch."""
        return len(self._waiting)

    def submit(self, item: Item, *, is_urgent: bool = False) -> Result:
        """Hand over one item; returns its result when the batch that holds it has been flushed."""
        entry: _Entry[Item, Result] = _Entry(item, self._monotonic(), is_urgent)
        if not self._append(entry):
            entry.ready.acquire()
            if entry.next is not None:
                entry.next.ready.release()
        if not entry.is_done:
            self._lead()
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]  # set whenever there is no error

    def enqueue(
        self, item: Item, on_done: Callable[[Result | BaseException], None], *, is_urgent: bool = False
    ) -> None:
        """Hand over one item without waiting for its batch.

        ``on_done`` gets the result, or the error that ``submit`` would raise, in the thread that has flushed the batch:
        it must return soon, and what it raises is logged. Raises ``RuntimeError`` where no thread can be started.
        """
        if self._thread is None:
            self._start_thread()
        if self._append(_Entry(item, self._monotonic(), is_urgent, on_done)):
            self._lead_wanted.release()

    def _append(self, entry: _Entry[Item, Result]) -> bool:
        """Whether there is no leader yet, so that who has brought ``entry`` has to see to one."""
        with self._lock:
            self._waiting.append(entry)
            self._peak.enter()
            self._is_urgent |= entry.is_urgent
            is_first = not self._is_led
            self._is_led = True
            if self._is_gathering and self._is_full():
                self._is_gathering = False
                self._filled.release()
        return is_first

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._lead_on_demand, name="group-commit", daemon=True)
                thread.start()
                self._thread = thread

    def _lead_on_demand(self) -> None:
        """In the thread of its own: lead each batch whose first item nobody waits for."""
        while True:
            self._lead_wanted.acquire()
            try:
                self._lead()
            except BaseException:
                # Its callers have been told; without this thread the next ones would wait for ever.
                log.exception("flush_failed")

    def _lead(self) -> None:
        """Flush the batch at the head of the queue (its first entry is the leader's own), then hand the lead on."""
        try:
            self._gather()
        finally:
            # Whatever interrupted the wait: others rely on the leader.
            self._flush_head()

    def _flush_head(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._max_batch))]
            self._is_urgent = self._is_urgent and any(entry.is_urgent for entry in self._waiting)
        self._window.note(len(batch), self._monotonic())
        try:
            self._run(batch)
        finally:
            with self._lock:
                self._peak.leave(len(batch))
                follower = self._waiting[0] if self._waiting else None
                self._is_led = follower is not None
            for entry in batch:
                entry.is_done = True
            if follower is not None:
                (follower.ready if follower.on_done is None else self._lead_wanted).release()
            self._wake([entry for entry in batch[1:] if entry.on_done is None])
            for entry in batch:
                if entry.on_done is not None:
                    self._report(entry, entry.on_done)

    @staticmethod
    def _report(entry: _Entry[Item, Result], on_done: Callable[[Result | BaseException], None]) -> None:
        try:
            on_done(entry.error if entry.error is not None else entry.result)  # type: ignore[arg-type]  # one is set
        except Exception:
            log.exception("result_not_taken")

    @staticmethod
    def _wake(entries: list[_Entry[Item, Result]]) -> None:
        """One wakes the next: fifty threads woken at once would all fight for the interpreter's lock."""
        for entry, after in pairwise(entries):
            entry.next = after
        if entries:
            entries[0].ready.release()

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

    def _gather(self) -> None:
        """Wait until the batch is full or something urgent comes, or for what is left of the window.

        The window is counted from when the batch's first item came.
        """
        now = self._monotonic()
        with self._lock:
            seconds = self._window.seconds(now) - (now - self._waiting[0].arrived_at)
            if seconds <= 0 or self._is_full():
                return
            self._is_gathering = True
        if self._wait(self._filled, seconds):
            return
        with self._lock:
            if self._is_gathering:
                self._is_gathering = False
                self._peak.decay()
                return
        # It was released in this very moment.
        self._filled.acquire()

    def _is_full(self) -> bool:
        return self._is_urgent or len(self._waiting) >= min(self._full_batch, self._peak.most)


class BatchQueue(Generic[Item]):
    """A queue of many writers and one reader, who waits up to ``window_seconds`` for a batch to fill.

    How long, follows the rate of arrivals; for what is urgent it does not wait, nor any longer once nothing has come
    for ``gap_seconds``: what comes in bursts has come by then, and the next burst is not waited for.
    ``put`` is thread-safe.
    """

    def __init__(
        self,
        window_seconds: float,
        monotonic: Callable[[], float],
        *,
        gap_seconds: float = float("inf"),
        wait: Callable[[threading.Lock, float], bool] = lambda lock, seconds: lock.acquire(timeout=seconds),
    ) -> None:
        self._window = BatchWindow(window_seconds, window_seconds * CROWDED_WINDOW_FACTOR)
        self._gap_seconds = gap_seconds
        self._monotonic = monotonic
        self._wait = wait
        self._items: deque[tuple[float, Item, bool]] = deque()
        self._filled = threading.Condition()
        self._is_reader_waiting = False
        #: How many of the items are urgent.
        self._urgent = 0
        self._is_gathering = False
        #: Locked; released by the first urgent item that comes while the reader waits for a batch to fill. A condition
        #: would wake the reader for every item.
        self._hurry = threading.Lock()
        self._hurry.acquire()

    def put(self, item: Item, *, is_urgent: bool = False) -> None:
        """Add an item. Where this raises, it was not added."""
        with self._filled:
            self._items.append((self._monotonic(), item, is_urgent))
            if is_urgent:
                self._urgent += 1
                if self._is_gathering:
                    self._is_gathering = False
                    self._hurry.release()
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
        self._gather(limit)
        with self._filled:
            count = min(len(self._items), limit)
            items = [self._items[position][1] for position in range(count)]
            urgent = sum(self._items[position][2] for position in range(count))
            # From here on nothing allocates, so that nothing can raise.
            self._urgent -= urgent
            for _ in range(count):
                self._items.popleft()
        self._window.note(len(items), self._monotonic())
        return items

    def _gather(self, limit: int) -> None:
        now = self._monotonic()
        with self._filled:
            ends_at = self._items[0][0] + self._window.seconds(now)
        while self._pause(limit, ends_at, now):
            now = self._monotonic()

    def _pause(self, limit: int, ends_at: float, now: float) -> bool:
        """Sleep until the batch may be ready; whether to look again, because something may have come meanwhile."""
        with self._filled:
            gap_ends_at = self._items[-1][0] + self._gap_seconds
            seconds = min(ends_at, gap_ends_at) - now
            if seconds < _SHORTEST_PAUSE_SECONDS or self._urgent or len(self._items) >= limit:
                return False
            self._is_gathering = True
        if self._wait(self._hurry, seconds):
            return False
        with self._filled:
            if self._is_gathering:
                self._is_gathering = False
                return gap_ends_at < ends_at
        # It was released in this very moment.
        self._hurry.acquire()
        return False
