"""Delivering one job: claim it, call a provider (or several), record what came of it.

The order is the promise. Nothing is sent without a claim; an outcome is recorded before anything is published or
acknowledged; every write is compare-and-set on the claim's token. Whatever dies in between, the job's ``due_at``
brings the sweep to it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from wavecom.core.account import is_test_account
from wavecom.core.attachments import BlobStore, keep_until, names_in, put_back
from wavecom.core.engine import (
    AttemptFinished,
    AttemptPrevented,
    DeadLettered,
    LeaseRenewed,
    Policy,
    Transition,
    decide,
)
from wavecom.core.job import Answer, Channel, Claim, Job, JobId, Outcome, Priority, Try
from wavecom.core.ports import (
    TEST_SANDBOX,
    Clock,
    DeadLetter,
    JobRepository,
    Message,
    Permit,
    Provider,
    Publisher,
    Refusal,
    Stats,
    SwiftProvider,
)
from wavecom.core.sms import segments
from wavecom.core.states import Status
from wavecom.core.submission import MakeBatcher
from wavecom.errors import RetryLater, StoreError, WaveComError

log = structlog.get_logger()

T = TypeVar("T")

#: How long a thread waits for a store that is away before it gives its message back.
STORE_PATIENCE_SECONDS = 600.0
#: A lease with less than this left is renewed before another provider is called: the longest call, and some air.
LEASE_MARGIN_SECONDS = 15.0


class Route(Protocol):
    """Whom to call, as ``wavecom.routing`` decides it."""

    def reserve(
        self, channel: Channel, priority: Priority, *, wait_seconds: float = 0.0, prefer: str | None = None
    ) -> Permit | Refusal:
        """Leave to call the first provider of the channel's route that may be called now."""
        ...

    def reserve_next(
        self, channel: Channel, priority: Priority, tried: Sequence[str], *, prefer: str | None = None
    ) -> Permit | Refusal | None:
        """The same for a provider not yet tried; None when the route has no more."""
        ...

    def charge(self, permit: Permit, extra_cost: int) -> None:
        """The message weighs more than the 1 that was reserved."""
        ...

    def release(self, permit: Permit, outcome: Try | None) -> None:
        """Give a permit back; ``outcome`` is None when the provider was not called."""
        ...


class Patience(Protocol):
    """Waiting that ends early when the worker shuts down."""

    def wait(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds; True at once when the worker is shutting down."""
        ...


class Activity:
    """What is being delivered right now, for the health check. Thread-safe: each touches only its own entry."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[int, float | None] = {}

    @property
    def running(self) -> int:
        """How many deliveries are under way."""
        return len(self._since)

    def oldest_age(self, now: float) -> float:
        """Seconds that the longest one has been at it; those that wait for the store do not count."""
        return max((now - since for since in list(self._since.values()) if since is not None), default=0.0)

    def enter(self) -> None:
        """This thread begins, or is at it again after a wait."""
        self._since[threading.get_ident()] = self._monotonic()

    def begin(self, call: object) -> None:
        """A call begins that no thread waits for; ``call`` is known by its identity."""
        self._since[-id(call)] = self._monotonic()

    def end(self, call: object) -> None:
        """It is over."""
        self._since.pop(-id(call), None)

    def wait_for_store(self) -> None:
        """This thread can do nothing until the store is back."""
        self._since[threading.get_ident()] = None

    def leave(self) -> None:
        """This thread is done."""
        self._since.pop(threading.get_ident(), None)


class GiveBackError(WaveComError):
    """The message can't be worked on here and now: hand it back to the broker."""

    code = "give_back"


@dataclass(frozen=True, slots=True)
class Attempted:
    """What a worker knows of a job that it holds once it has tried to send it; no ``tries``: it was not able to."""

    job: Job
    tries: tuple[Try, ...]
    expects_receipt: bool


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An attempt whose first provider was unavailable: the next ones are still to be tried, which may wait."""

    job: Job
    tries: tuple[Try, ...]
    lease_until: datetime


#: Hears what came of an attempt, or the bug that it met.
OnAttempted = Callable[[Attempted | Unfinished | Exception], None]


class Delivery:
    """The use case behind the task ``wavecom.deliver``.

    ``providers`` are those that live jobs go to, by the names that permits carry; ``sandbox`` is the only one that a
    job of a test account ever meets, whatever its message or its permit says.
    """

    def __init__(
        self,
        *,
        jobs: JobRepository,
        blobs: BlobStore,
        route: Route,
        providers: Mapping[str, Provider],
        sandbox: Provider,
        publisher: Publisher,
        stats: Stats,
        clock: Clock,
        batcher: MakeBatcher,
        policy: Policy,
        worker: str,
        stopping: Patience,
        jitter: Callable[[], float],
        new_token: Callable[[], str],
        retry_floors: Mapping[str, float] | None = None,
        on_claimed: Callable[[Job], None] = lambda _job: None,
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._route = route
        self._providers = providers
        self._swift = {name: each for name, each in providers.items() if isinstance(each, SwiftProvider)}
        self._sandbox = sandbox
        self._publisher = publisher
        self._stats = stats
        self._clock = clock
        self._policy = policy
        self._worker = worker
        self._stopping = stopping
        self._jitter = jitter
        self._new_token = new_token
        self._retry_floors = retry_floors or {}
        self._on_claimed = on_claimed
        self.activity = Activity(clock.monotonic)
        #: Jobs whose claim was tried and not answered, by the token it was tried with.
        self._doubtful_tokens: dict[JobId, str] = {}
        self._claims = batcher(self._flush_claims)
        self._records = batcher(self._flush_records)

    def deliver(self, job_id: JobId, permit: Permit) -> None:
        """Try to deliver the job; ``permit`` is the leave to call the first provider and is given back here.

        Returns when there is nothing more to do for this message: delivered, failed for good, already done, or taken
        by another. Raises ``RetryLater`` when the next attempt is recorded and its message is to be published, and
        ``GiveBackError`` when the store stayed away or the worker is stopping. May be called any number of times
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
        attempted = self.attempt(job, permit)
        transition = self._decided(attempted, self._clock.now())
        if transition is None:
            return
        is_written: bool = self._patiently(lambda: self._records.submit(transition))
        [retry] = self._follow_up([(attempted, transition, is_written)])
        if retry is not None:
            raise retry

    # --- claim --------------------------------------------------------------------------------------------------------

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """Claim many jobs at once: each as it is after the claim, or None for one that is not to be sent.

        An id that comes twice is granted once. Waits while the store is away; raises ``GiveBackError`` as ``deliver``.
        After any other error from many, each may be asked for alone: what the first call claimed is found again then.
        """
        try:
            return self._patiently(lambda: self._flush_claims(job_ids))
        except BaseException as error:
            if len(job_ids) == 1 or isinstance(error, GiveBackError):
                for job_id in job_ids:
                    self._doubtful_tokens.pop(job_id, None)
            raise

    def _claim(self, job_id: JobId, permit: Permit) -> Job | None:
        try:
            job: Job | None = self._patiently(lambda: self._claims.submit(job_id))
        except BaseException:
            self._doubtful_tokens.pop(job_id, None)
            self._route.release(permit, None)
            raise
        if job is None:
            self._route.release(permit, None)
        return job

    def _flush_claims(self, job_ids: Sequence[JobId]) -> list[Job | None]:
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
        written = self._jobs.apply([transition for _, transition in planned])
        for (job, transition), is_written in zip(planned, written, strict=True):
            if is_written:
                granted[job.job_id] = transition.applied_to(job)
            else:
                del granted[job.job_id]
        return granted

    # --- call -----------------------------------------------------------------------------------------------------

    def attempt(self, job: Job, permit: Permit) -> Attempted:
        """One attempt at a claimed job. Gives every permit back; what came of it is still to be recorded."""
        try:
            with self._given_back_on_error(permit):
                missing, whole = self._with_files(job)
        except StoreError:
            # Not being able to attempt is not an attempt.
            return Attempted(job, (), expects_receipt=False)
        if missing is not None:
            self._route.release(permit, None)
            return Attempted(job, (missing,), expects_receipt=False)
        attempt = self._rehearse if is_test_account(job.client) else self._attempt
        tries, expects_receipt = attempt(whole, permit)
        return Attempted(job, tries, expects_receipt)

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttempted) -> bool:
        """An attempt that no thread has to wait for; ``on_attempted`` hears once what came of it, on whatever thread.

        It must be quick, and must not raise. False, with nothing done, for a job that takes more than one plain call:
        that one needs ``attempt``. What comes back ``Unfinished`` goes on with ``finish``.
        """
        provider = self._swift.get(permit.provider)
        now = self._clock.now()
        if (
            provider is None
            or job.claim is None
            or job.may_have_been_sent
            or is_test_account(job.client)
            or (job.type is Channel.EMAIL and names_in(job.payload))
            or (job.claim.lease_until - now).total_seconds() < LEASE_MARGIN_SECONDS
        ):
            return False
        lease_until = job.claim.lease_until
        expects_receipt = self._providers[permit.provider].expects_receipts
        started = self._clock.monotonic()

        def on_answer(answer: Answer | Exception) -> None:
            if isinstance(answer, Exception):
                self._route.release(permit, None)
                on_attempted(answer)
                return
            try_ = Try(permit.provider, answer, now, (self._clock.monotonic() - started) * 1000)
            self._route.release(permit, try_)
            if answer.outcome is Outcome.UNAVAILABLE:
                on_attempted(Unfinished(job, (try_,), lease_until))
            else:
                on_attempted(Attempted(job, (try_,), expects_receipt))

        with self._given_back_on_error(permit):
            extra_cost = _extra_cost(job)
            is_begun = provider.start(_message(job), on_answer)
        if is_begun and extra_cost:
            self._route.charge(permit, extra_cost)
        return is_begun

    def finish(self, unfinished: Unfinished) -> Attempted:
        """The rest of an attempt that ``begin`` has begun: the providers that were not tried yet."""
        job, tries = unfinished.job, unfinished.tries
        upcoming = self._route.reserve_next(job.type, job.priority, [try_.provider for try_ in tries])
        all_tries, expects_receipt = self._go_on(job, upcoming, unfinished.lease_until, list(tries))
        return Attempted(job, all_tries, expects_receipt)

    @contextmanager
    def _given_back_on_error(self, permit: Permit | None) -> Iterator[None]:
        """A bug that a job meets must not take a place from the others for as long as the worker lives."""
        try:
            yield
        except BaseException:
            if permit is not None:
                self._route.release(permit, None)
            raise

    def _with_files(self, job: Job) -> tuple[Try | None, Job]:
        """The job with the attachments that are stored apart; the end of it when one is not there any more."""
        names = names_in(job.payload) if job.type is Channel.EMAIL else None
        if not names:
            return None, job
        now = self._clock.now()
        blobs = self._blobs.get(names, keep_until(job.expires_at, self._policy))
        if len(blobs) < len(names):
            log.error("attachment_missing", job_id=job.job_id, count=len(names) - len(blobs))
            answer = Answer(Outcome.REJECTED, "attachment_missing", "an attachment is not stored any more")
            return Try("", answer, now, 0), job
        return None, replace(job, payload=put_back(job.payload, blobs))

    def _attempt(self, job: Job, permit: Permit) -> tuple[tuple[Try, ...], bool]:
        """Provider after provider until one does more than be unavailable."""
        upcoming = self._real(job, permit)
        if isinstance(upcoming, Permit):
            upcoming = self._preferred(job, upcoming)
        lease_until = job.claim.lease_until if job.claim else self._clock.now()
        return self._go_on(job, upcoming, lease_until, [])

    def _go_on(
        self, job: Job, upcoming: Permit | Refusal | None, lease_until: datetime, tries: list[Try]
    ) -> tuple[tuple[Try, ...], bool]:
        while isinstance(upcoming, Permit):
            # Before the first call too: the claim itself may have taken long, with a store that hesitated.
            with self._given_back_on_error(upcoming):
                renewed = self._renew_lease(job, lease_until)
            if renewed is None:
                self._route.release(upcoming, None)
                break
            lease_until = renewed
            provider = self._providers[upcoming.provider]
            try_ = self._call(job, provider, upcoming)
            tries.append(try_)
            if try_.answer.outcome is not Outcome.UNAVAILABLE:
                return tuple(tries), provider.expects_receipts
            upcoming = self._route.reserve_next(job.type, job.priority, [try_.provider for try_ in tries])
        return tuple(tries), False

    def _rehearse(self, job: Job, permit: Permit) -> tuple[tuple[Try, ...], bool]:
        """For a test account's job: in the sandbox and nowhere else."""
        place: Permit | None = permit
        if permit.provider != TEST_SANDBOX:
            # The message came through a lane of live ones, whose permit it must not use up. The sandbox needs no
            # protection: it is called without.
            self._route.release(permit, None)
            place = None
        lease_until = job.claim.lease_until if job.claim else self._clock.now()
        with self._given_back_on_error(place):
            renewed = self._renew_lease(job, lease_until)
        if renewed is None:
            if place is not None:
                self._route.release(place, None)
            return (), False
        return (self._call(job, self._sandbox, place),), self._sandbox.expects_receipts

    def _real(self, job: Job, permit: Permit) -> Permit | Refusal | None:
        """``permit``, unless it is one for the sandbox, which is worth nothing to a live job."""
        if permit.provider != TEST_SANDBOX:
            return permit
        self._route.release(permit, None)
        return self._route.reserve_next(job.type, job.priority, [])

    def _preferred(self, job: Job, permit: Permit) -> Permit:
        """After an unknown outcome the same provider comes first, if it can recognise a repetition."""
        last = self._providers.get(job.provider or "")
        if not job.may_have_been_sent or last is None or not last.is_idempotent or last.name == permit.provider:
            return permit
        better = self._route.reserve_next(job.type, job.priority, [], prefer=last.name)
        if not isinstance(better, Permit):
            return permit
        self._route.release(permit, None)
        return better

    def _call(self, job: Job, provider: Provider, permit: Permit | None) -> Try:
        message = _message(job)
        at = self._clock.now()
        started = self._clock.monotonic()
        try_: Try | None = None
        try:
            if permit is not None:
                self._route.charge(permit, _extra_cost(job))
            answer = provider.send(message)
            try_ = Try(provider.name, answer, at, (self._clock.monotonic() - started) * 1000)
        finally:
            if permit is not None:
                self._route.release(permit, try_)
        return try_

    def _renew_lease(self, job: Job, lease_until: datetime) -> datetime | None:
        """The end of a lease long enough for one more call; None when the job is no longer ours."""
        now = self._clock.now()
        if (lease_until - now).total_seconds() >= LEASE_MARGIN_SECONDS:
            return lease_until
        transition = decide(job, LeaseRenewed(_token(job)), now, self._policy)
        if transition is None:
            return None
        try:
            is_renewed: bool = self._records.submit(transition)
        except StoreError:
            return None
        return now + self._policy.lease if is_renewed else None

    # --- record -------------------------------------------------------------------------------------------------------

    def record(self, attempts: Sequence[Attempted]) -> list[RetryLater | None]:
        """Record what came of many attempts at once; for each when its job is to be tried again, None for never.

        Waits while the store is away; raises ``GiveBackError`` as ``deliver``. A result that came too late, because
        another worker or a replay owns the job by now, is logged and changes nothing.
        """
        now = self._clock.now()
        decided = [(attempted, self._decided(attempted, now)) for attempted in attempts]
        planned = [(attempted, transition) for attempted, transition in decided if transition is not None]
        transitions = [transition for _, transition in planned]
        written = self._patiently(lambda: self._jobs.apply(transitions))
        retries = self._follow_up([(*each, is_written) for each, is_written in zip(planned, written, strict=True)])
        by_job = {id(attempted): retry for (attempted, _), retry in zip(planned, retries, strict=True)}
        return [by_job.get(id(attempted)) for attempted in attempts]

    def _flush_records(self, transitions: Sequence[Transition]) -> Sequence[bool]:
        return self._jobs.apply(transitions)

    def _decided(self, attempted: Attempted, now: datetime) -> Transition | None:
        job, tries = attempted.job, attempted.tries
        token = _token(job)
        if not tries:
            return decide(job, AttemptPrevented(token, 1.0), now, self._policy)
        floor = max(self._retry_floors.get(try_.provider, 0) for try_ in tries)
        event = AttemptFinished(token, tries, self._jitter(), attempted.expects_receipt, floor)
        return decide(job, event, now, self._policy)

    def _follow_up(self, results: Sequence[tuple[Attempted, Transition, bool]]) -> list[RetryLater | None]:
        """What is to be done once the store has answered."""
        retries: list[RetryLater | None] = []
        failed: list[Job] = []
        counts: Counter[tuple[str, Channel, Status]] = Counter()
        for attempted, transition, is_written in results:
            job = attempted.job
            retry = None
            if is_written:
                counts[job.client, job.type, transition.status] += 1
                if transition.needs_dead_letter:
                    failed.append(transition.applied_to(job))
                if transition.hint is not None:
                    text = f"attempt {job.attempts + 1} did not succeed"
                    retry = RetryLater(transition.hint.delay_seconds, text)
            else:
                # The lease ran out and another worker, or a replay, owns the job now. Say what we know all the same.
                log.warning(
                    "late_result_discarded",
                    job_id=job.job_id,
                    status=transition.status,
                    outcomes=[try_.answer.outcome for try_ in attempted.tries],
                )
            retries.append(retry)
        for (client, channel, status), count in counts.items():
            self._stats.add(client, channel, status, count)
        if failed:
            bury(self._jobs, self._publisher, failed, self._clock.now(), self._policy)
        return retries

    # --- the store away -----------------------------------------------------------------------------------------------

    def _patiently(self, call: Callable[[], T]) -> T:
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
                    raise GiveBackError("the store is away") from error
                pause_seconds = min(5.0, pause_seconds * 2)
            else:
                self.activity.enter()
                return result


def bury(jobs: JobRepository, publisher: Publisher, failed: Sequence[Job], now: datetime, policy: Policy) -> int:
    """Publish the dead letters of failed jobs and note which are confirmed; the sweep repeats the rest.

    Returns how many are noted. A crash in between leaves a dead letter twice in the queue, never none.
    """
    confirmed = publisher.bury([letter_of(job, now) for job in failed])
    transitions = [
        transition
        for job, is_confirmed in zip(failed, confirmed, strict=True)
        if is_confirmed and (transition := decide(job, DeadLettered(), now, policy)) is not None
    ]
    if not transitions:
        return 0
    try:
        return sum(jobs.apply(transitions))
    except StoreError:
        return 0


def letter_of(job: Job, now: datetime) -> DeadLetter:
    """The dead letter of a failed job."""
    return DeadLetter(
        job_id=job.job_id,
        channel=job.type,
        priority=job.priority,
        code=job.error.code if job.error else "unknown",
        message=job.error.message if job.error else "",
        provider=job.error.provider if job.error else None,
        attempts=job.attempts,
        failed_at=job.finished_at or now,
    )


def _extra_cost(job: Job) -> int:
    """What the message weighs beyond the 1 of its permit: networks bill an SMS by its segments."""
    return segments(str(job.payload.get("text", ""))).count - 1 if job.type is Channel.SMS else 0


def _message(job: Job) -> Message:
    return Message(
        job_id=job.job_id,
        delivery_key=job.delivery_key,
        type=job.type,
        to=job.to,
        payload=job.payload,
        metadata=job.metadata,
        attempt=job.attempts + 1,
        stops_on_unknown=job.on_unknown_outcome == "stop",
    )


def _token(job: Job) -> str:
    if job.claim is None:
        raise AssertionError(f"job {job.job_id} was granted without a claim")
    return job.claim.token
