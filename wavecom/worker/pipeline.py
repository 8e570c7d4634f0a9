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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import structlog

from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.delivery import RequeueError
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Permit
from wavecom.errors import RetryLater
from wavecom.worker.batch_queue import BatchQueue
from wavecom.worker.stages import AttemptStage, BatchStages

log = structlog.get_logger()

#: Company is waited for so long at most, twice in a notification's life.
WINDOW_SECONDS = 0.025
MAX_BATCH = 100
#: A machine that has run out of something is asked again so often, with such a pause, before messages go back.
EXHAUSTED_TRIES = 5
EXHAUSTED_PAUSE_SECONDS = 1.0


class Disposition(enum.Enum):
    """What the broker is to be told of a message."""

    ACK = "ack"
    #: Somebody else should have it: the store stayed away, or the worker is stopping.
    REQUEUE = "requeue"
    #: A bug met it; again would only meet it again.
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class InFlightMessage:
    """A message let in, with leave to call a provider. ``channel`` and ``tag`` are its address at the broker."""

    job_id: JobId
    routing_key: str
    permit: Permit
    channel: object
    tag: int


def _spawn(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class DeliveryPipeline:
    """Takes parcels in with ``offer`` and tells how each ended. Thread-safe.

    Every parcel that was taken in ends, whatever goes wrong at whatever step: answered, given back or recorded, with
    its permit given back. What the machine has no descriptor, memory or thread for is not taken, and tried again.

    ``threads`` is how many calls run at once, on threads or not; no more jobs are claimed than that.
    ``release`` gives a permit back unused, ``retry`` publishes a job's next attempt, and ``on_freed`` hears that a
    permit came back. ``on_end`` gets every parcel exactly once, in batches, from a thread of the line.
    """

    def __init__(
        self,
        stages: BatchStages,
        calls: AttemptStage,
        *,
        threads: int,
        release: Callable[[Permit], None],
        retry: Callable[[InFlightMessage, RetryLater], None],
        on_end: Callable[[Sequence[tuple[InFlightMessage, Disposition]]], None],
        on_freed: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        window_seconds: float = WINDOW_SECONDS,
        spawn: Callable[[Callable[[], None], str], threading.Thread] = _spawn,
        spawn_stage: Callable[[Callable[[], None], str], threading.Thread] = _spawn,
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
        self._to_claim: BatchQueue[InFlightMessage] = BatchQueue(window_seconds, monotonic, sleep)
        self._to_record: BatchQueue[tuple[InFlightMessage, AttemptResult]] = BatchQueue(
            window_seconds, monotonic, sleep
        )
        #: What the many threads do: calls that must be waited for, and now and then the publishing of a retry.
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._sleep = sleep
        self._spawn = spawn
        self._spawn_stage = spawn_stage
        self._in_hand = 0
        #: Parcels claimed and not recorded. Never more than calls at once: what a worker that is killed leaves in doubt
        #: is no more than that.
        self._claimed = 0
        #: What has been put into ``_work`` and is not done.
        self._on_threads = 0
        self._callers: list[threading.Thread] = []
        #: Claimer and recorder, by name.
        self._stage_threads: dict[str, threading.Thread] = {}
        self._is_started = False
        self._is_closing = False
        #: Ends that could not be told yet.
        self._untold: list[tuple[InFlightMessage, Disposition]] = []

    @property
    def in_hand(self) -> int:
        """Parcels taken in whose end has not been told."""
        return self._in_hand

    def offer(self, parcel: InFlightMessage) -> bool:
        """Take a parcel in; returns at once. False, with its permit given back, where there are no means to."""
        try:
            with self._lock:
                if not self._is_started:
                    self._start()
                self._in_hand += 1
            try:
                self._to_claim.put(parcel)
            except BaseException:
                with self._lock:
                    self._in_hand -= 1
                raise
        except Exception:
            log.exception("parcel_not_taken", job_id=parcel.job_id)
            self._release_safely(parcel.permit)
            return False
        return True

    def _start(self) -> None:
        """The threads without which nothing moves; raises where one can't be had, and goes on from there next time."""
        for name, work in (("claimer", self._claim_always), ("recorder", self._record_always)):
            if name not in self._stage_threads:
                self._stage_threads[name] = self._spawn_stage(work, name)
        if not self._callers:
            self._callers.append(self._spawn(self._call_always, "caller-1"))
        self._is_started = True

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
            self._guarded("claim", self._claim_some)

    def _claim_some(self) -> None:
        parcels = self._to_claim.take(min(MAX_BATCH, self._wait_for_room()))
        if self._is_closing:
            self._turn_away(parcels, Disposition.REQUEUE)
        else:
            self._claim(parcels)

    def _guarded(self, stage: str, work: Callable[[], None]) -> None:
        """A thread's border: without it nothing would be claimed, or recorded, any more."""
        try:
            work()
        except Exception:
            log.exception("line_failed", stage=stage)
            self._sleep(EXHAUSTED_PAUSE_SECONDS)

    def _wait_for_room(self) -> int:
        with self._lock:
            self._room.wait_for(lambda: self._is_closing or self._claimed + self._least_room <= self._threads)
            return max(1, self._threads - self._claimed)

    def _pause(self, stage: str, jobs: int, error: Exception) -> None:
        log.error("means_exhausted", stage=stage, jobs=jobs, error=type(error).__name__)
        self._sleep(EXHAUSTED_PAUSE_SECONDS)

    def _claim(self, parcels: Sequence[InFlightMessage], tries: int = 1) -> None:
        try:
            self._stages.activity.enter()
            try:
                jobs = self._stages.claim([parcel.job_id for parcel in parcels])
            finally:
                self._stages.activity.leave()
        except RequeueError:
            self._turn_away(parcels, Disposition.REQUEUE)
            return
        except Exception as error:
            if not is_exhaustion(error):
                log.exception("claim_failed", jobs=len(parcels))
                self._part(parcels, self._claim)
            elif tries < EXHAUSTED_TRIES and not self._is_closing:
                # Some may be claimed already: asked again, they are found under the same token.
                self._pause("claim", len(parcels), error)
                self._claim(parcels, tries + 1)
            elif len(parcels) > 1:
                for parcel in parcels:
                    self._claim([parcel], tries)
            else:
                self._turn_away(parcels, Disposition.REQUEUE)
            return
        granted = sum(job is not None for job in jobs)
        with self._lock:
            self._claimed += granted
        for parcel, job in zip(parcels, jobs, strict=True):
            if job is not None:
                self._hand_on(parcel, job)
        if granted < len(parcels):
            # Already done, or in another worker's hands: a delivery message that comes twice is nothing to worry about.
            self._turn_away([each for each, job in zip(parcels, jobs, strict=True) if job is None], Disposition.ACK)

    def _hand_on(self, parcel: InFlightMessage, job: Job) -> None:
        """A claimed job to its call. Whatever goes wrong, no call was made, and its end is to say so."""
        try:
            if not self._begin(parcel, job):
                self._put_to_work(partial(self.call, parcel, partial(self._calls.attempt, job, parcel.permit)))
        except Exception as error:
            log.exception("call_not_begun", job_id=parcel.job_id)
            self._release_safely(parcel.permit)
            if not is_exhaustion(error):
                self._end_with(parcel, error)
                return
            try:
                # Not being able to attempt is not an attempt.
                self._to_record.put((parcel, AttemptResult(job, (), expects_receipt=False)))
            except Exception:
                log.exception("attempt_not_passed_on", job_id=parcel.job_id)
                self._end_with(parcel, error)

    def _part(self, parcels: Sequence[InFlightMessage], again: Callable[[Sequence[InFlightMessage]], None]) -> None:
        """One of a batch met a bug: that must not cost the others, who only came at the same time."""
        if len(parcels) == 1:
            self._turn_away(parcels, Disposition.REJECT)
            return
        for parcel in parcels:
            again([parcel])

    def _turn_away(self, parcels: Sequence[InFlightMessage], end: Disposition) -> None:
        for parcel in parcels:
            self._release_safely(parcel.permit)
        self._say_freed()
        self._tell([(parcel, end) for parcel in parcels])

    def _release_safely(self, permit: Permit) -> None:
        try:
            self._release(permit)
        except Exception:
            log.exception("permit_not_given_back", provider=permit.provider)

    def _say_freed(self) -> None:
        try:
            self._on_freed()
        except Exception:
            # Whoever waits at the door looks again within a second anyway.
            log.exception("freed_permit_not_told")

    # --- call ---------------------------------------------------------------------------------------------------------

    def _begin(self, parcel: InFlightMessage, job: Job) -> bool:
        """A call that nobody waits for; False when this one needs a thread. Raises with nothing done."""
        hear = partial(self._hear, parcel)
        self._stages.activity.begin(parcel)
        is_begun = False
        try:
            is_begun = self._calls.begin(job, parcel.permit, hear)
        finally:
            if not is_begun:
                self._stages.activity.end(parcel)
        return is_begun

    def _hear(self, parcel: InFlightMessage, result: AttemptResult | PartialAttempt | Exception) -> None:
        """How a call ended; on a thread that others are waiting for, so nothing is raised there."""
        try:
            self._stages.activity.end(parcel)
            if isinstance(result, AttemptResult):
                self._to_record.put((parcel, result))
            elif isinstance(result, PartialAttempt):
                self._put_to_work(partial(self.call, parcel, partial(self._calls.finish, result)))
            else:
                log.error("attempt_failed", job_id=parcel.job_id, exc_info=result)
                self._end_with(parcel, result)
        except Exception as error:
            log.exception("attempt_not_passed_on", job_id=parcel.job_id)
            self._end_with(parcel, error)
        self._say_freed()

    def _end_with(self, parcel: InFlightMessage, error: Exception) -> None:
        """The end of a claimed parcel of which nothing can be recorded: its lease will tell."""
        self._let_go(1)
        self._tell([(parcel, Disposition.REQUEUE if is_exhaustion(error) else Disposition.REJECT)])

    def _put_to_work(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        with self._lock:
            self._on_threads += 1
            self._hire()

    def _hire(self) -> None:
        """As many threads as there is work for them, up to the limit. They stay."""
        while len(self._callers) < min(self._threads, self._on_threads):
            try:
                self._callers.append(self._spawn(self._call_always, f"caller-{len(self._callers) + 1}"))
            except Exception:
                # The system has no more threads for us: those there are do the work, and the next claim asks again.
                log.exception("caller_not_started", callers=len(self._callers))
                return

    def _call_always(self) -> None:
        while (work := self._work.get()) is not None:
            self._guarded("call", work)
            with self._lock:
                self._on_threads -= 1

    def call(self, parcel: InFlightMessage, attempt: Callable[[], AttemptResult]) -> None:
        """One call, on one of the threads."""
        try:
            self._stages.activity.enter()
            try:
                attempted = attempt()
            finally:
                self._stages.activity.leave()
            self._to_record.put((parcel, attempted))
        except Exception as error:
            log.exception("attempt_failed", job_id=parcel.job_id)
            self._end_with(parcel, error)
        finally:
            self._say_freed()

    # --- record -------------------------------------------------------------------------------------------------------

    def _record_always(self) -> None:
        while True:
            self._guarded("record", lambda: self._record(self._to_record.take(MAX_BATCH)))

    def _record(self, results: Sequence[tuple[InFlightMessage, AttemptResult]], tries: int = 1) -> None:
        try:
            self._stages.activity.enter()
            try:
                retries = self._stages.record([attempted for _, attempted in results])
            finally:
                self._stages.activity.leave()
        except RequeueError:
            self._let_go(len(results))
            self._tell([(parcel, Disposition.REQUEUE) for parcel, _ in results])
            return
        except Exception as error:
            if is_exhaustion(error) and tries < EXHAUSTED_TRIES:
                # What came of these calls is known here and nowhere else.
                self._pause("record", len(results), error)
                self._record(results, tries + 1)
                return
            log.exception("record_failed", jobs=len(results))
            if len(results) == 1:
                self._end_with(results[0][0], error)
            else:
                for result in results:
                    self._record([result], tries)
            return
        self._let_go(len(results))
        done = []
        for (parcel, _), retry in zip(results, retries, strict=True):
            # On the many threads, so that their messages too are published together. It is recorded: where no thread
            # can take it, the sweep publishes it.
            if retry is None or not self._is_put_to_work(partial(self.publish_retry, parcel, retry)):
                done.append((parcel, Disposition.ACK))
        if done:
            self._tell(done)

    def _is_put_to_work(self, work: Callable[[], None]) -> bool:
        try:
            self._put_to_work(work)
        except Exception:
            log.exception("work_not_taken")
            return False
        return True

    def publish_retry(self, parcel: InFlightMessage, retry: RetryLater) -> None:
        """One retry, on one of the threads. It is recorded already: what goes wrong here, the sweep puts right."""
        try:
            self._retry(parcel, retry)
        except Exception:
            log.exception("retry_unpublished", job_id=parcel.job_id)
        finally:
            self._tell([(parcel, Disposition.ACK)])

    def _let_go(self, count: int) -> None:
        with self._lock:
            was_full = self._claimed + self._least_room > self._threads
            self._claimed -= count
            if was_full:
                self._room.notify_all()

    def _tell_again(self) -> None:
        self._sleep(EXHAUSTED_PAUSE_SECONDS)
        self._tell(())

    def _tell(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        """Each end once; one that can't be told now is told with the next, or a second later."""
        if self._untold:
            with self._lock:
                ends, self._untold = [*self._untold, *ends], []
        try:
            self._on_end(ends)
        except Exception:
            log.exception("end_not_told", parcels=len(ends))
            with self._lock:
                self._untold.extend(ends)
            self._is_put_to_work(self._tell_again)
            return
        with self._lock:
            self._in_hand -= len(ends)
            if self._is_closing:
                self._room.notify_all()
