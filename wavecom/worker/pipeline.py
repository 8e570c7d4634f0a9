"""The delivery pipeline, the worker's hot path: deliveries are claimed in batches, called, and recorded in batches.

What a notification costs on this stack is round trips and waking threads (docs/performance.md). A Celery task per
message takes 0.4 to 0.5 ms for itself, and its thread is woken three times: for the task, by the claim's batch and by
the record's. Here one thread claims for all and one records for all, and a call by HTTP waits on no thread at all: the
transport's own thread takes the answers of all. Whatever else there is to call (a mail server, the second provider of a
route) has a thread for as long as it takes.

The promises are the same, step by step: a permit before anything, a claim before the call, the record before the
acknowledgement. The pipeline never talks to the broker: how each message ended goes to ``on_end``.
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

from wavecom.batching import BatchQueue
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Permit
from wavecom.core.windows import WINDOWS, Windows
from wavecom.errors import RequeueError, RetryLater
from wavecom.worker.stages import AttemptStage, BatchStages

log = structlog.get_logger()

MAX_BATCH = 100
#: Where the machine has run out of descriptors, memory or threads: so many attempts, with such a pause between them,
#: before messages go back to the broker.
EXHAUSTION_ATTEMPTS = 5
EXHAUSTION_PAUSE_SECONDS = 1.0


class Disposition(enum.Enum):
    """How a message is settled with the broker."""

    ACK = "ack"
    #: Somebody else should have it: the store stayed away, or the worker is stopping.
    REQUEUE = "requeue"
    #: A bug met it; again would only meet it again.
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class InFlightMessage:
    """A delivery message with a permit to call a provider. ``channel`` and ``tag`` are its address at the broker."""

    job_id: JobId
    routing_key: str
    permit: Permit
    channel: object
    tag: int
    #: It waits for no batch to fill.
    is_urgent: bool = False


def _spawn(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class DeliveryPipeline:
    """Takes messages with ``offer``, delivers their jobs, and reports how each message ended. Thread-safe.

    Every message that was taken ends exactly once, whatever goes wrong at whatever step, and its permit is released.
    What the machine has no descriptor, memory or thread for is not taken.

    ``threads`` is how many calls run at once, on threads or not; no more jobs are claimed than that.
    ``release`` gives a permit back unused, ``retry`` publishes a job's next attempt, and ``on_freed`` is called when
    a permit came back. ``on_end`` gets every message exactly once, in batches, on a thread of the pipeline.
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
        windows: Windows = WINDOWS,
        spawn: Callable[[Callable[[], None], str], threading.Thread] = _spawn,
        spawn_stage: Callable[[Callable[[], None], str], threading.Thread] = _spawn,
    ) -> None:
        self._stages = stages
        self._calls = calls
        self._threads = threads
        #: Under full load the next claim waits for so many free slots; else each freed slot would make a claim of one.
        self._min_free_slots = max(1, threads // 16)
        self._release = release
        self._retry = retry
        self._on_end = on_end
        self._on_freed = on_freed
        self._to_claim = BatchQueue[InFlightMessage](windows.claim, monotonic, gap_seconds=windows.claim_gap)
        self._to_record: BatchQueue[tuple[InFlightMessage, AttemptResult]] = BatchQueue(windows.record, monotonic)
        #: What the caller threads do: calls that block, and the publishing of retries.
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._slots_freed = threading.Condition(self._lock)
        self._sleep = sleep
        self._spawn = spawn
        self._spawn_stage = spawn_stage
        self._in_flight = 0
        #: Messages claimed and not recorded. Never more than calls at once: what a worker that is killed leaves in
        #: doubt is no more than that.
        self.claimed = 0
        #: How many pieces of work were put into ``_work`` and are not done.
        self._submitted = 0
        self._callers: list[threading.Thread] = []
        #: Claimer and recorder, by name.
        self._stage_threads: dict[str, threading.Thread] = {}
        self._is_started = False
        self._is_closing = False
        #: Ends of which ``on_end`` could not be told yet.
        self._unreported: list[tuple[InFlightMessage, Disposition]] = []

    @property
    def in_flight(self) -> int:
        """How many messages were taken whose end has not been reported."""
        return self._in_flight

    def offer(self, message: InFlightMessage) -> bool:
        """Take a message; returns at once. False, with its permit released, where the machine has no means for it."""
        try:
            with self._lock:
                if not self._is_started:
                    self._start()
                self._in_flight += 1
            try:
                self._to_claim.put(message, is_urgent=message.is_urgent)
            except BaseException:
                with self._lock:
                    self._in_flight -= 1
                raise
        except Exception:
            log.exception("message_not_taken", job_id=message.job_id)
            self._release_safely(message.permit)
            return False
        return True

    def _start(self) -> None:
        """Start claimer, recorder and the first caller. Raises where a thread can't be had; may be called again."""
        for name, work in (("claimer", self._run_claimer), ("recorder", self._run_recorder)):
            if name not in self._stage_threads:
                self._stage_threads[name] = self._spawn_stage(work, name)
        if not self._callers:
            self._callers.append(self._spawn(self._run_caller, "caller-1"))
        self._is_started = True

    def drain(self, seconds: float) -> bool:
        """Shut down: claim nothing more, requeue what is unclaimed, finish what is claimed.

        Waits up to ``seconds``; whether all messages ended by then.
        """
        with self._lock:
            self._is_closing = True
            self._slots_freed.notify_all()
            return self._slots_freed.wait_for(lambda: self._in_flight == 0, seconds)

    # --- claim --------------------------------------------------------------------------------------------------------

    def _run_claimer(self) -> None:
        while True:
            self._run_guarded("claim", self._claim_next)

    def _claim_next(self) -> None:
        messages = self._to_claim.take(min(MAX_BATCH, self._wait_for_free_slots()))
        if self._is_closing:
            self._release_unclaimed(messages, Disposition.REQUEUE)
        else:
            self._claim(messages)

    def _run_guarded(self, stage: str, work: Callable[[], None]) -> None:
        """Run ``work`` and log what it raises: an error that ended this thread would end claiming or recording too."""
        try:
            work()
        except Exception:
            log.exception("pipeline_stage_failed", stage=stage)
            self._sleep(EXHAUSTION_PAUSE_SECONDS)

    def _wait_for_free_slots(self) -> int:
        """Wait until more may be claimed; how many, at least one."""
        with self._lock:
            self._slots_freed.wait_for(lambda: self._is_closing or self.claimed + self._min_free_slots <= self._threads)
            return max(1, self._threads - self.claimed)

    def _pause(self, stage: str, jobs: int, error: Exception) -> None:
        log.error("resources_exhausted", stage=stage, jobs=jobs, error=type(error).__name__)
        self._sleep(EXHAUSTION_PAUSE_SECONDS)

    def _claim(self, messages: Sequence[InFlightMessage], attempt: int = 1) -> None:
        try:
            self._stages.activity.enter()
            try:
                jobs = self._stages.claim([message.job_id for message in messages])
            finally:
                self._stages.activity.leave()
        except RequeueError:
            self._release_unclaimed(messages, Disposition.REQUEUE)
            return
        except Exception as error:
            if not is_exhaustion(error):
                log.exception("claim_failed", jobs=len(messages))
                self._claim_singly(messages)
            elif attempt < EXHAUSTION_ATTEMPTS and not self._is_closing:
                # Some may be claimed already: asked again, they are found under the same token.
                self._pause("claim", len(messages), error)
                self._claim(messages, attempt + 1)
            elif len(messages) > 1:
                for message in messages:
                    self._claim([message], attempt)
            else:
                self._release_unclaimed(messages, Disposition.REQUEUE)
            return
        granted = sum(job is not None for job in jobs)
        with self._lock:
            self.claimed += granted
        for message, job in zip(messages, jobs, strict=True):
            if job is not None:
                self._start_call(message, job)
        if granted < len(messages):
            # Already done, or in another worker's hands: a delivery message that comes twice is nothing to worry about.
            self._release_unclaimed(
                [each for each, job in zip(messages, jobs, strict=True) if job is None], Disposition.ACK
            )

    def _start_call(self, message: InFlightMessage, job: Job) -> None:
        """Begin the call of a claimed job, or give it to a caller thread. Where both fail, no call was made, which is
        recorded.
        """
        try:
            if not self._begin(message, job):
                self._submit(partial(self.call, message, partial(self._calls.attempt, job, message.permit)))
        except Exception as error:
            log.exception("call_not_begun", job_id=message.job_id)
            self._release_safely(message.permit)
            if not is_exhaustion(error):
                self._end_claimed(message, error)
                return
            try:
                # Not being able to attempt is not an attempt.
                self._put_result(message, AttemptResult(job, (), expects_receipt=False))
            except Exception:
                log.exception("result_not_queued", job_id=message.job_id)
                self._end_claimed(message, error)

    def _claim_singly(self, messages: Sequence[InFlightMessage]) -> None:
        """Claim each message of a batch by itself: a bug that one of them met must not cost the others."""
        if len(messages) == 1:
            self._release_unclaimed(messages, Disposition.REJECT)
            return
        for message in messages:
            self._claim([message])

    def _release_unclaimed(self, messages: Sequence[InFlightMessage], end: Disposition) -> None:
        """End messages whose jobs were not claimed, and release their permits."""
        for message in messages:
            self._release_safely(message.permit)
        self._notify_freed()
        self._report([(message, end) for message in messages])

    def _release_safely(self, permit: Permit) -> None:
        try:
            self._release(permit)
        except Exception:
            log.exception("permit_not_released", provider=permit.provider)

    def _notify_freed(self) -> None:
        try:
            self._on_freed()
        except Exception:
            # Held messages are looked at again within a second anyway.
            log.exception("freed_callback_failed")

    # --- call ---------------------------------------------------------------------------------------------------------

    def _begin(self, message: InFlightMessage, job: Job) -> bool:
        """Start a call that blocks no thread; False where this one needs one. Where it raises, no call was made."""
        on_result = partial(self._on_result, message)
        self._stages.activity.begin(message)
        is_begun = False
        try:
            is_begun = self._calls.begin(job, message.permit, on_result)
        finally:
            if not is_begun:
                self._stages.activity.end(message)
        return is_begun

    def _on_result(self, message: InFlightMessage, result: AttemptResult | PartialAttempt | Exception) -> None:
        """Take the result of a call that ``_begin`` started. Never raises: it runs on the transport's thread."""
        try:
            self._stages.activity.end(message)
            if isinstance(result, AttemptResult):
                self._put_result(message, result)
            elif isinstance(result, PartialAttempt):
                self._submit(partial(self.call, message, partial(self._calls.finish, result)))
            else:
                log.error("attempt_failed", job_id=message.job_id, exc_info=result)
                self._end_claimed(message, result)
        except Exception as error:
            log.exception("result_not_queued", job_id=message.job_id)
            self._end_claimed(message, error)
        self._notify_freed()

    def _put_result(self, message: InFlightMessage, result: AttemptResult) -> None:
        self._to_record.put((message, result), is_urgent=message.is_urgent)

    def _end_claimed(self, message: InFlightMessage, error: Exception) -> None:
        """End a claimed message of which nothing can be recorded: the sweep finds its job when the lease has ended."""
        self._free_slots(1)
        self._report([(message, Disposition.REQUEUE if is_exhaustion(error) else Disposition.REJECT)])

    def _submit(self, work: Callable[[], None]) -> None:
        """Have a caller thread do ``work``. Raises where it can't be queued."""
        self._work.put(work)
        with self._lock:
            self._submitted += 1
            self._start_callers()

    def _start_callers(self) -> None:
        """Start threads up to the work there is and the limit. They stay."""
        while len(self._callers) < min(self._threads, self._submitted):
            try:
                self._callers.append(self._spawn(self._run_caller, f"caller-{len(self._callers) + 1}"))
            except Exception:
                # The system gives no more threads: those there are do the work, and the next claim tries again.
                log.exception("caller_not_started", callers=len(self._callers))
                return

    def _run_caller(self) -> None:
        while (work := self._work.get()) is not None:
            self._run_guarded("call", work)
            with self._lock:
                self._submitted -= 1

    def call(self, message: InFlightMessage, attempt: Callable[[], AttemptResult]) -> None:
        """Make one blocking call and queue its result to be recorded. Runs on a caller thread."""
        try:
            self._stages.activity.enter()
            try:
                attempted = attempt()
            finally:
                self._stages.activity.leave()
            self._put_result(message, attempted)
        except Exception as error:
            log.exception("attempt_failed", job_id=message.job_id)
            self._end_claimed(message, error)
        finally:
            self._notify_freed()

    # --- record -------------------------------------------------------------------------------------------------------

    def _run_recorder(self) -> None:
        while True:
            self._run_guarded("record", lambda: self._record(self._to_record.take(MAX_BATCH)))

    def _record(self, results: Sequence[tuple[InFlightMessage, AttemptResult]], attempt: int = 1) -> None:
        try:
            self._stages.activity.enter()
            try:
                retries = self._stages.record([attempted for _, attempted in results])
            finally:
                self._stages.activity.leave()
        except RequeueError:
            self._free_slots(len(results))
            self._report([(message, Disposition.REQUEUE) for message, _ in results])
            return
        except Exception as error:
            if is_exhaustion(error) and attempt < EXHAUSTION_ATTEMPTS:
                # What came of these calls is known here and nowhere else.
                self._pause("record", len(results), error)
                self._record(results, attempt + 1)
                return
            log.exception("record_failed", jobs=len(results))
            if len(results) == 1:
                self._end_claimed(results[0][0], error)
            else:
                for result in results:
                    self._record([result], attempt)
            return
        self._free_slots(len(results))
        done = []
        for (message, _), retry in zip(results, retries, strict=True):
            # On the caller threads, so that retries too are published together. A retry is recorded already: where no
            # thread can publish it, the sweep does.
            if retry is None or not self._is_submitted(partial(self.publish_retry, message, retry)):
                done.append((message, Disposition.ACK))
        if done:
            self._report(done)

    def _is_submitted(self, work: Callable[[], None]) -> bool:
        try:
            self._submit(work)
        except Exception:
            log.exception("work_not_submitted")
            return False
        return True

    def publish_retry(self, message: InFlightMessage, retry: RetryLater) -> None:
        """Publish a recorded retry, on a caller thread. Never raises: what was not published, the sweep publishes."""
        try:
            self._retry(message, retry)
        except Exception:
            log.exception("retry_unpublished", job_id=message.job_id)
        finally:
            self._report([(message, Disposition.ACK)])

    def _free_slots(self, count: int) -> None:
        with self._lock:
            was_full = self.claimed + self._min_free_slots > self._threads
            self.claimed -= count
            if was_full:
                self._slots_freed.notify_all()

    def _report_again(self) -> None:
        self._sleep(EXHAUSTION_PAUSE_SECONDS)
        self._report(())

    def _report(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        """Report each end once to ``on_end``; where that raises, with the next report, or a second later."""
        if self._unreported:
            with self._lock:
                ends, self._unreported = [*self._unreported, *ends], []
        try:
            self._on_end(ends)
        except Exception:
            log.exception("end_not_reported", messages=len(ends))
            with self._lock:
                self._unreported.extend(ends)
            self._is_submitted(self._report_again)
            return
        with self._lock:
            self._in_flight -= len(ends)
            if self._is_closing:
                self._slots_freed.notify_all()
