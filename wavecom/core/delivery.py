"""Delivering one job: claim it, have a provider called (``attempts.py``), record what came of it.

The order is the promise. Nothing is sent without a claim; an outcome is recorded before anything is published or
acknowledged; every write is compare-and-set on the claim's token. Whatever dies in between, the job's ``due_at``
brings the sweep to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from wavecom.core.activity import Activity
from wavecom.core.attachments import BlobStore
from wavecom.core.attempts import AttemptResult, AttemptRunner, token_of
from wavecom.core.batcher import MakeBatcher
from wavecom.core.engine import AttemptFinished, AttemptPrevented, LeaseRenewed, Parked, Policy, Transition, decide
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.files import ByteBudget
from wavecom.core.job import CallResult, Claim, Job, JobId, Outcome, ProviderResult, Scope
from wavecom.core.leases import LeaseKeeper
from wavecom.core.pauses import LONGEST_PAUSE_SECONDS
from wavecom.core.ports import Clock, JobRepository, Permit, Provider
from wavecom.core.preflights import Preflight, prepare_all
from wavecom.core.provider_calls import ProviderRouter
from wavecom.core.transition_writer import Apply, TransitionWriter
from wavecom.errors import RequeueError, RetryLater, StoreError

log = structlog.get_logger()

T = TypeVar("T")

#: How long a thread waits for a store that is away before it gives its message back.
STORE_PATIENCE_SECONDS = 600.0
#: How long a job rests that met a worker without means; others, on this one or elsewhere, may go on meanwhile.
_EXHAUSTED_PAUSE_SECONDS = 5.0


class StopSignal(Protocol):
    """Waiting that ends early when the worker shuts down."""

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; True at once when the worker is shutting down."""
        ...


@dataclass(frozen=True, slots=True)
class RetryBounds:
    """What a provider asks of the waits between attempts; None: what the policy says."""

    floor_seconds: float = 0
    base_seconds: float | None = None
    cap_seconds: float | None = None


_USUAL_BOUNDS = RetryBounds()


def _lacked_resources(answer: ProviderResult) -> bool:
    """Certainly not taken, because this worker had no descriptor, memory or thread for it: that is no attempt."""
    return answer.outcome is Outcome.UNAVAILABLE and answer.scope is Scope.WORKER


def _is_no_attempt(attempted: AttemptResult) -> bool:
    """Whether nobody who could take the message was asked: for want of ours, or because none may be called now.

    Nobody at all will ever take it where the whole route was asked and lacks something: that is an end.
    """
    for call in attempted.calls:
        if not (_lacked_resources(call.answer) or call.answer.is_final_here):
            return False
    return not (attempted.is_route_used_up and all(call.answer.is_final_here for call in attempted.calls))


def _retry_of(attempted: AttemptResult, transition: Transition) -> RetryLater | None:
    message = transition.delivery_message
    if message is None:
        return None
    return RetryLater(message.delay_seconds, f"attempt {attempted.job.attempts + 1} did not succeed")


class Delivery:
    """The use case behind the task ``wavecom.deliver``.

    ``providers`` are those that live jobs go to, by the names that permits carry; ``sandbox`` is the only one that a
    job of a test account ever meets, whatever its message or its permit says. ``preflights`` are asked in order about
    every job that was claimed, before any call. ``on_rejected_recipients`` hears of answers that say of a recipient
    that he can't be reached or wants nothing, before they are recorded; it may raise ``StoreError``.
    ``require_current`` raises that while nothing may be claimed, though the store answers (``core.store_guard``).
    """

    def __init__(
        self,
        *,
        jobs: JobRepository,
        writer: TransitionWriter,
        blobs: BlobStore,
        route: ProviderRouter,
        providers: Mapping[str, Provider],
        sandbox: Provider,
        clock: Clock,
        batcher: MakeBatcher,
        policy: Policy,
        worker: str,
        stopping: StopSignal,
        jitter: Callable[[], float],
        new_token: Callable[[], str],
        retry_bounds: Mapping[str, RetryBounds] | None = None,
        on_claimed: Callable[[Job], None] = lambda _job: None,
        on_called: Callable[[Sequence[CallResult]], None] = lambda _tries: None,
        attachment_budget: ByteBudget | None = None,
        lag_since: Callable[[float], float] = lambda _moment: 0.0,
        preflights: Sequence[Preflight] = (),
        on_rejected_recipients: Callable[[Sequence[tuple[Job, CallResult]]], None] = lambda _rejections: None,
        require_current: Callable[[], None] = lambda: None,
    ) -> None:
        self._require_current = require_current
        self._preflights = tuple(preflights)
        self._on_rejected_recipients = on_rejected_recipients
        self._jobs = jobs
        self._writer = writer
        self._route = route
        self._clock = clock
        self._policy = policy
        self._worker = worker
        self._stopping = stopping
        self._jitter = jitter
        self._new_token = new_token
        self._retry_bounds = retry_bounds or {}
        self._on_claimed = on_claimed
        self._on_called = on_called
        self.activity = Activity(clock.monotonic)
        #: Jobs whose claim was tried and not answered, by the token it was tried with.
        self._doubtful_tokens: dict[JobId, str] = {}
        self._claims = batcher(self._flush_claims)
        self._records = batcher(self._apply)
        self.leases = LeaseKeeper(clock=clock, policy=policy, apply=jobs.apply)
        self.attempts = AttemptRunner(
            route=route,
            providers=providers,
            sandbox=sandbox,
            blobs=blobs,
            clock=clock,
            policy=policy,
            renew=self._records.submit,
            leases=self.leases,
            budget=attachment_budget or ByteBudget(128 * 1024 * 1024),
            activity=self.activity,
            lag_since=lag_since,
            preflights=self._preflights,
        )

    def deliver(self, job_id: JobId, permit: Permit) -> None:
        """Try to deliver the job; ``permit`` is the leave to call the first provider and is given back here.

        Returns when there is nothing more to do for this message: delivered, failed for good, already done, or taken
        by another. Raises ``RetryLater`` when the next attempt is recorded and its message is to be published, and
        ``RequeueError`` when the store stayed away or the worker is stopping. May be called any number of times
        for the same job: only the caller that is granted the claim sends.
        """
        self.activity.enter()
        try:
            self._deliver(job_id, permit)
        finally:
            self.activity.leave()

    def _deliver(self, job_id: JobId, permit: Permit) -> None:
        job = self._claim(job_id, permit)
        if job is None:
            return
        attempted = self.attempts.attempt(job, permit)
        transition = self._transition_for(attempted, self._clock.now())
        if transition is None:
            return
        [retry] = self._record([(attempted, transition)], self._apply_with_others)
        if retry is not None:
            raise retry

    def park(self, job_id: JobId, seconds: float) -> None:
        """Have the job wait in the store where no provider may be called: the sweep publishes its message in time.

        For a message that nobody can hold. Requeued it would come again at once, and the broker makes a dead letter of
        what comes back too often (``x-delivery-limit``). Waits 1 s at least, and ``LONGEST_PAUSE_SECONDS`` at most,
        since an operator may open a provider at any time. Raises ``RequeueError`` as ``deliver``.
        """
        pause = timedelta(seconds=min(max(1.0, seconds), LONGEST_PAUSE_SECONDS))

        def park_unless_settled() -> None:
            job = self._jobs.get(job_id)
            now = self._clock.now()
            transition = decide(job, Parked(now + pause), now, self._policy) if job is not None else None
            if transition is not None:
                # Who lost the race has nothing left to do: somebody else has moved the job.
                self._writer.write([transition])

        self._retry_while_store_is_away(park_unless_settled)

    # --- claim --------------------------------------------------------------------------------------------------------

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """Claim many jobs at once: each as it is after the claim, or None for one that is not to be sent.

        An id that comes twice is granted once. Waits while the store is away; raises ``RequeueError`` as ``deliver``.
        After any other error from many, each may be asked for alone: what the first call claimed is found again then.
        """
        try:
            return self._retry_while_store_is_away(lambda: self._flush_claims(job_ids))
        except BaseException as error:
            # Who has run out of memory in the middle asks again, with the token that it may hold the job by.
            if isinstance(error, RequeueError) or (len(job_ids) == 1 and not is_exhaustion(error)):
                for job_id in job_ids:
                    self._doubtful_tokens.pop(job_id, None)
            raise

    def _claim(self, job_id: JobId, permit: Permit) -> Job | None:
        try:
            job: Job | None = self._retry_while_store_is_away(lambda: self._claims.submit(job_id))
        except BaseException:
            self._doubtful_tokens.pop(job_id, None)
            self._route.release(permit, None)
            raise
        if job is None:
            self._route.release(permit, None)
        return job

    def _flush_claims(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        self._require_current()
        now = self._clock.now()
        # A token of its own for every batch: two batches, in whatever processes, can't mistake each other's jobs.
        fresh = self._new_token()
        batches: dict[str, list[JobId]] = {}
        for job_id in dict.fromkeys(job_ids):
            # Of a claim whose answer was lost only its own token tells whether it was made.
            batches.setdefault(self._doubtful_tokens.setdefault(job_id, fresh), []).append(job_id)
        granted: dict[JobId, Job] = {}
        for token, ids in batches.items():
            granted |= self._claim_batch(ids, Claim(token, self._worker, now + self._policy.lease), now)
        # Where this raises, the same claims are found again under the same tokens.
        prepare_all(self._preflights, list(granted.values()))
        for job_id in job_ids:
            self._doubtful_tokens.pop(job_id, None)
        for job in granted.values():
            self._on_claimed(job)
        # A job id that came twice in this batch is granted once: popped by the first, gone for the second.
        return [granted.pop(job_id, None) for job_id in job_ids]

    def _claim_batch(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        granted = self._jobs.claim(job_ids, claim, now)
        # Held since an earlier call whose answer was lost: nothing was sent under it, but its lease has been running.
        older = [job for job in granted.values() if job.claim is not None and job.claim.lease_until < claim.lease_until]
        renewals = [(job, decide(job, LeaseRenewed(claim.token), now, self._policy)) for job in older]
        planned = [(job, transition) for job, transition in renewals if transition is not None]
        renewed = self._writer.write([transition for _, transition in planned])
        for (job, transition), is_written in zip(planned, renewed.is_written, strict=True):
            if is_written:
                granted[job.job_id] = transition.applied_to(job)
            else:
                del granted[job.job_id]
        return granted

    # --- record -------------------------------------------------------------------------------------------------------

    def record(self, attempts: Sequence[AttemptResult]) -> list[RetryLater | None]:
        """Record what came of many attempts at once; for each when its job is to be tried again, None for never.

        Waits while the store is away; raises ``RequeueError`` as ``deliver``. A result that came too late, because
        another worker or a replay owns the job by now, is logged and changes nothing.
        """
        now = self._clock.now()
        decided = [(attempted, self._transition_for(attempted, now)) for attempted in attempts]
        planned = [(attempted, transition) for attempted, transition in decided if transition is not None]
        retries = self._record(planned, self._apply)
        by_job = {id(attempted): retry for (attempted, _), retry in zip(planned, retries, strict=True)}
        return [by_job.get(id(attempted)) for attempted in attempts]

    def abandon(self) -> int:
        """For a worker that has to stop: record the calls still under way as of unknown outcome, and count them.

        Whoever asks again may make a second copy, which is why the job's history says it. A call that ends after all
        is still recorded, if this process lives so long. Raises ``RequeueError`` as ``deliver``: then their leases
        run out, which comes to the same later.
        """
        abandoned = self.attempts.abandoned()
        if abandoned:
            self.record(abandoned)
        return len(abandoned)

    def _apply(self, transitions: Sequence[Transition]) -> Sequence[bool]:
        return self._jobs.apply(transitions)

    def _apply_with_others(self, transitions: Sequence[Transition]) -> Sequence[bool]:
        """``JobRepository.apply`` for one transition, in one write with those of the other threads."""
        [transition] = transitions
        return [self._records.submit(transition, is_urgent=transition.before.lane.is_urgent)]

    def _transition_for(self, attempted: AttemptResult, now: datetime) -> Transition | None:
        job, calls = attempted.job, attempted.calls
        token = token_of(job)
        if not calls:
            prevented = AttemptPrevented(token, attempted.retry_after_seconds, held_for=attempted.held_for)
            return decide(job, prevented, now, self._policy)
        if _is_no_attempt(attempted):
            pause = max(_EXHAUSTED_PAUSE_SECONDS, attempted.retry_after_seconds)
            return decide(job, AttemptPrevented(token, pause, calls), now, self._policy)
        floor_seconds, base_seconds, cap_seconds = self._bounds_of(calls[0])
        for call in calls[1:]:
            # Of several providers the most patient one counts.
            floor, base, cap = self._bounds_of(call)
            floor_seconds = max(floor_seconds, floor)
            base_seconds, cap_seconds = max(base_seconds, base), max(cap_seconds, cap)
        event = AttemptFinished(
            token,
            calls,
            self._jitter(),
            attempted.expects_receipt,
            floor_seconds=floor_seconds,
            base_seconds=base_seconds,
            cap_seconds=cap_seconds,
            is_route_used_up=attempted.is_route_used_up,
        )
        return decide(job, event, now, self._policy)

    def _bounds_of(self, call: CallResult) -> tuple[float, float, float]:
        """The seconds of floor, base and cap of the waits after a call."""
        bounds = self._retry_bounds.get(call.provider, _USUAL_BOUNDS)
        return (
            bounds.floor_seconds,
            bounds.base_seconds or self._policy.retry_base_seconds,
            bounds.cap_seconds or self._policy.retry_cap_seconds,
        )

    def _record(self, decided: Sequence[tuple[AttemptResult, Transition]], apply: Apply) -> list[RetryLater | None]:
        """Write what was decided about these attempts; for each when its job is to be tried again, None for never."""
        self._report_rejected_recipients([attempted for attempted, _ in decided])
        result = self._writer.write(
            [transition for _, transition in decided],
            apply=lambda transitions: self._retry_while_store_is_away(lambda: apply(transitions)),
            # A retry is Celery's: whoever has the message publishes it again, with its delay.
            is_publishing=False,
        )
        self._on_called([call for attempted, _ in decided for call in attempted.calls])
        retries: list[RetryLater | None] = []
        for (attempted, transition), is_written in zip(decided, result.is_written, strict=True):
            retries.append(_retry_of(attempted, transition) if is_written else None)
            if not is_written:
                # The lease ran out and another worker, or a replay, owns the job now. Say what we know all the same.
                log.warning(
                    "late_result_discarded",
                    job_id=attempted.job.job_id,
                    status=transition.status,
                    outcomes=[call.answer.outcome for call in attempted.calls],
                )
        return retries

    def _report_rejected_recipients(self, attempts: Sequence[AttemptResult]) -> None:
        rejections = [(each.job, call) for each in attempts for call in each.calls if call.answer.rejects_recipient]
        if not rejections:
            return
        try:
            self._retry_while_store_is_away(lambda: self._on_rejected_recipients(rejections))
        except RequeueError:
            raise
        except Exception:
            # A bug in what others make of it must not keep an outcome from being recorded.
            log.exception("rejected_recipients_not_kept", job_ids=[job.job_id for job, _ in rejections])

    # --- the store away -----------------------------------------------------------------------------------------------

    def _retry_while_store_is_away(self, call: Callable[[], T]) -> T:
        """Repeat ``call`` while the store is away; the unacknowledged message is the brake on the broker meanwhile."""
        deadline = self._clock.monotonic() + STORE_PATIENCE_SECONDS
        pause_seconds = 0.2
        while True:
            try:
                result = call()
            except StoreError as error:
                self.activity.wait_for_store()
                is_stopping = self._stopping.wait(pause_seconds)
                if is_stopping or self._clock.monotonic() > deadline:
                    raise RequeueError("the store is away") from error
                pause_seconds = min(5.0, pause_seconds * 2)
            else:
                self.activity.enter()
                return result
