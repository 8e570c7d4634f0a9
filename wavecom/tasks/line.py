"""The worker's hot path: deliveries in three stages, claimed together, called, recorded together.

What a notification costs on this stack is round trips and waking threads (docs/performance.md). A Celery task per
message takes 0.4 to 0.5 ms for itself, and its thread is woken three times: for the task, by the claim's batch and by
the record's. Here one thread claims for all and one records for all, and a call by HTTP waits on no thread at all: the
transport's own thread takes the answers of all. Whatever else there is to call (a mail server, the second provider of a
route) has a thread for as long as it takes.

The promises are the same, step by step: a permit before anything, a claim before the call, the record before the
acknowledgement. The line never talks to the broker: how each message ended goes to ``on_end``.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

import structlog

from wavecom.batching import Window
from wavecom.core.activity import Activity
from wavecom.core.calls import Attempted, OnAttempted, Unfinished
from wavecom.core.delivery import GiveBackError
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Permit
from wavecom.errors import RetryLater

log = structlog.get_logger()

Item = TypeVar("Item")

#: Company is waited for so long at most, twice in a notification's life; and so much longer where there is a crowd.
WINDOW_SECONDS = 0.025
CROWD_FACTOR = 1.6
MAX_BATCH = 100


class End(enum.Enum):
    """What the broker is to be told of a message."""

    DONE = "done"
    #: Somebody else should have it: the store stayed away, or the worker is stopping.
    GIVE_BACK = "give back"
    #: A bug met it; again would only meet it again.
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message let in, with leave to call a provider. ``channel`` and ``tag`` are its address at the broker."""

    job_id: JobId
    routing_key: str
    permit: Permit
    channel: object
    tag: int


class Stages(Protocol):
    """``wavecom.core.delivery.Delivery``, as the line uses it."""

    activity: Activity

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """Many jobs at once."""
        ...

    def record(self, attempts: Sequence[Attempted]) -> list[RetryLater | None]:
        """Many results at once."""
        ...


class Calls(Protocol):
    """``wavecom.core.calls.Calls``, as the line uses it."""

    def attempt(self, job: Job, permit: Permit) -> Attempted:
        """One of them; gives the permit back."""
        ...

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttempted) -> bool:
        """One of them, without waiting for it; False where that can't be."""
        ...

    def finish(self, unfinished: Unfinished) -> Attempted:
        """The rest of what ``begin`` has begun."""
        ...


def _spawn(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class DeliveryLine:
    """Takes parcels in with ``offer`` and tells how each ended. Thread-safe.

    ``threads`` is how many calls run at once, on threads or not; no more jobs are claimed than that.
    ``release`` gives a permit back unused, ``retry`` publishes a job's next attempt, and ``on_freed`` hears that a
    permit came back. ``on_end`` gets every parcel exactly once, in batches, from a thread of the line.
    """

    def __init__(
        self,
        stages: Stages,
        calls: Calls,
        *,
        threads: int,
        release: Callable[[Permit], None],
        retry: Callable[[Parcel, RetryLater], None],
        on_end: Callable[[Sequence[tuple[Parcel, End]]], None],
        on_freed: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        window_seconds: float = WINDOW_SECONDS,
        spawn: Callable[[Callable[[], None], str], threading.Thread] = _spawn,
    ) -> None:
        self._stages = stages
        self._calls = calls
        self._threads = threads
        #: Under full load so many threads are waited for before the next claim, or each would claim for itself.
        self._least_room = max(1, threads // 16)
        self._release = release
        self._retry = retry
        self._on_end = on_end
        self._on_freed = on_freed
        self._to_claim: _Basket[Parcel] = _Basket(window_seconds, monotonic, sleep)
        self._to_record: _Basket[tuple[Parcel, Attempted]] = _Basket(window_seconds, monotonic, sleep)
        #: What the many threads do: calls that must be waited for, and now and then the publishing of a retry.
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._spawn = spawn
        self._in_hand = 0
        #: Parcels claimed and not recorded. Never more than calls at once: what a worker that is killed leaves in doubt
        #: is no more than that.
        self._claimed = 0
        #: What has been put into ``_work`` and is not done.
        self._on_threads = 0
        self._callers: list[threading.Thread] = []
        self._is_started = False
        self._is_closing = False

    @property
    def in_hand(self) -> int:
        """Parcels taken in whose end has not been told."""
        return self._in_hand

    def offer(self, parcel: Parcel) -> None:
        """Take a parcel in; returns at once."""
        with self._lock:
            self._in_hand += 1
            if not self._is_started:
                self._is_started = True
                _spawn(self._claim_always, "claimer")
                _spawn(self._record_always, "recorder")
        self._to_claim.put(parcel)

    def drain(self, seconds: float) -> bool:
        """For the shutdown: claim nothing more, finish what is claimed; whether all ended within ``seconds``.

        What is not claimed is given back.
        """
        with self._lock:
            self._is_closing = True
            self._room.notify_all()
            return self._room.wait_for(lambda: self._in_hand == 0, seconds)

    # --- claim --------------------------------------------------------------------------------------------------------

    def _claim_always(self) -> None:
        while True:
            parcels = self._to_claim.take(min(MAX_BATCH, self._wait_for_room()))
            try:
                if self._is_closing:
                    self._turn_away(parcels, End.GIVE_BACK)
                else:
                    self._claim(parcels)
            except Exception:
                # The thread's border: without it nothing would be claimed any more.
                log.exception("line_failed", stage="claim", jobs=len(parcels))

    def _wait_for_room(self) -> int:
        with self._lock:
            self._room.wait_for(lambda: self._is_closing or self._claimed + self._least_room <= self._threads)
            return max(1, self._threads - self._claimed)

    def _claim(self, parcels: Sequence[Parcel]) -> None:
        self._stages.activity.enter()
        try:
            jobs = self._stages.claim([parcel.job_id for parcel in parcels])
        except GiveBackError:
            self._turn_away(parcels, End.GIVE_BACK)
            return
        except Exception:
            log.exception("claim_failed", jobs=len(parcels))
            self._part(parcels, self._claim)
            return
        finally:
            self._stages.activity.leave()
        granted = [(parcel, job) for parcel, job in zip(parcels, jobs, strict=True) if job is not None]
        with self._lock:
            self._claimed += len(granted)
        for parcel, job in granted:
            if not self._begin(parcel, job):
                self._put_to_work(partial(self.call, parcel, partial(self._calls.attempt, job, parcel.permit)))
        if len(granted) < len(parcels):
            # Already done, or in another worker's hands: a hint that comes twice is nothing to worry about.
            self._turn_away([each for each, job in zip(parcels, jobs, strict=True) if job is None], End.DONE)

    def _part(self, parcels: Sequence[Parcel], again: Callable[[Sequence[Parcel]], None]) -> None:
        """One of a batch met a bug: that must not cost the others, who only came at the same time."""
        if len(parcels) == 1:
            self._turn_away(parcels, End.DEAD)
            return
        for parcel in parcels:
            again([parcel])

    def _turn_away(self, parcels: Sequence[Parcel], end: End) -> None:
        for parcel in parcels:
            self._release(parcel.permit)
        self._on_freed()
        self._tell([(parcel, end) for parcel in parcels])

    # --- call ---------------------------------------------------------------------------------------------------------

    def _begin(self, parcel: Parcel, job: Job) -> bool:
        """A call that nobody waits for; False when this one needs a thread."""
        self._stages.activity.begin(parcel)
        is_begun = False
        try:
            is_begun = self._calls.begin(job, parcel.permit, partial(self._hear, parcel))
        except Exception as error:  # noqa: BLE001 - told there
            self._hear(parcel, error)
            return True
        finally:
            if not is_begun:
                self._stages.activity.end(parcel)
        return is_begun

    def _hear(self, parcel: Parcel, result: Attempted | Unfinished | Exception) -> None:
        """How a call ended; on a thread that others are waiting for."""
        self._stages.activity.end(parcel)
        if isinstance(result, Attempted):
            self._to_record.put((parcel, result))
        elif isinstance(result, Unfinished):
            self._put_to_work(partial(self.call, parcel, partial(self._calls.finish, result)))
        else:
            log.error("attempt_failed", job_id=parcel.job_id, exc_info=result)
            self._let_go(1)
            self._tell([(parcel, End.DEAD)])
        self._on_freed()

    def _put_to_work(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._on_threads += 1
            self._hire()
        self._work.put(work)

    def _hire(self) -> None:
        """As many threads as there is work for them, up to the limit. They stay."""
        while len(self._callers) < min(self._threads, self._on_threads):
            try:
                self._callers.append(self._spawn(self._call_always, f"caller-{len(self._callers) + 1}"))
            except RuntimeError:
                # The system has no more threads for us: those there are do the work, and the next claim asks again.
                log.exception("caller_not_started", callers=len(self._callers))
                return

    def _call_always(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            with self._lock:
                self._on_threads -= 1

    def call(self, parcel: Parcel, attempt: Callable[[], Attempted]) -> None:
        """One call, on one of the threads."""
        self._stages.activity.enter()
        try:
            attempted = attempt()
        except Exception:
            log.exception("attempt_failed", job_id=parcel.job_id)
            self._let_go(1)
            self._tell([(parcel, End.DEAD)])
        else:
            self._to_record.put((parcel, attempted))
        finally:
            self._stages.activity.leave()
            self._on_freed()

    # --- record -------------------------------------------------------------------------------------------------------

    def _record_always(self) -> None:
        while True:
            results = self._to_record.take(MAX_BATCH)
            try:
                self._record(results)
            except Exception:
                log.exception("line_failed", stage="record", jobs=len(results))

    def _record(self, results: Sequence[tuple[Parcel, Attempted]]) -> None:
        self._stages.activity.enter()
        try:
            retries = self._stages.record([attempted for _, attempted in results])
        except GiveBackError:
            self._let_go(len(results))
            self._tell([(parcel, End.GIVE_BACK) for parcel, _ in results])
            return
        except Exception:
            log.exception("record_failed", jobs=len(results))
            if len(results) == 1:
                self._let_go(1)
                self._tell([(results[0][0], End.DEAD)])
            else:
                for result in results:
                    self._record([result])
            return
        finally:
            self._stages.activity.leave()
        self._let_go(len(results))
        done = []
        for (parcel, _), retry in zip(results, retries, strict=True):
            if retry is None:
                done.append((parcel, End.DONE))
            else:
                # On the many threads, so that their messages too are published together.
                self._put_to_work(partial(self.publish_retry, parcel, retry))
        if done:
            self._tell(done)

    def publish_retry(self, parcel: Parcel, retry: RetryLater) -> None:
        """One retry, on one of the threads. It is recorded already: what goes wrong here, the sweep puts right."""
        try:
            self._retry(parcel, retry)
        except Exception:
            log.exception("retry_unpublished", job_id=parcel.job_id)
        finally:
            self._tell([(parcel, End.DONE)])

    def _let_go(self, count: int) -> None:
        with self._lock:
            was_full = self._claimed + self._least_room > self._threads
            self._claimed -= count
            if was_full:
                self._room.notify_all()

    def _tell(self, ends: Sequence[tuple[Parcel, End]]) -> None:
        try:
            self._on_end(ends)
        finally:
            with self._lock:
                self._in_hand -= len(ends)
                if self._is_closing:
                    self._room.notify_all()


class _Basket(Generic[Item]):
    """Where many put items in and one takes them out, a batch at a time."""

    def __init__(self, window_seconds: float, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._window = Window(window_seconds, window_seconds * CROWD_FACTOR)
        self._monotonic = monotonic
        self._sleep = sleep
        self._items: deque[tuple[float, Item]] = deque()
        self._filled = threading.Condition()
        self._is_awaited = False

    def put(self, item: Item) -> None:
        with self._filled:
            self._items.append((self._monotonic(), item))
            if self._is_awaited:
                self._is_awaited = False
                self._filled.notify()

    def take(self, most: int) -> list[Item]:
        """At least one item, at most ``most``, in order of arrival. Waits for the first, then for company."""
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
            items = [self._items.popleft()[1] for _ in range(min(len(self._items), most))]
        self._window.note(len(items), self._monotonic())
        return items
